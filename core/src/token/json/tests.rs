extern crate std;

use std::format;
use std::string::String;
use std::vec::Vec as List;

use super::*;

/// Reads a whole text and returns what is wrong with it.
fn read(text: &[u8]) -> Result<(), JsonReason> {
    let mut parser = Parser::new(text)?;
    parser.open_document()?;
    while parser.next_member()?.is_some() {
        parser.skip()?;
    }
    parser.finish()
}

/// Reads `value` as the value of a member.
fn read_value(value: &str) -> Result<(), JsonReason> {
    read(format!("{{\"a\":{value}}}").as_bytes())
}

#[test]
fn takes_every_kind_of_value() {
    for value in [
        "\"\"",
        "\"a b\"",
        "\"\\u00e9\"",
        "\"\u{e9}\"",
        "\"\\ud83d\\ude00\"",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "0",
        "-0",
        "1.5",
        "-1.5e+10",
        "1E-2",
        "10",
        "true",
        "false",
        "null",
        "[]",
        "[ ]",
        "[1,2]",
        "[[1],{}]",
        "{}",
        "{\"a\":1,\"b\":{\"a\":2}}",
        " 1 ",
        "\t[\r\n1 , 2 ]\n",
        "\"\u{feff}\"",
        "\"\u{7f}\"",
    ] {
        assert_eq!(read_value(value), Ok(()), "{value}");
    }
    assert_eq!(read(b" {} \n"), Ok(()));
}

#[test]
fn names_each_fault() {
    for (text, reason) in [
        ("", JsonReason::Truncated),
        ("{", JsonReason::Truncated),
        ("{\"", JsonReason::Truncated),
        ("{\"a", JsonReason::Truncated),
        ("{\"a\"", JsonReason::Truncated),
        ("{\"a\":", JsonReason::Truncated),
        ("{\"a\":1", JsonReason::Truncated),
        ("{\"a\":tru", JsonReason::Truncated),
        ("{\"a\":\"\\", JsonReason::Truncated),
        ("{\"a\":\"\\u12", JsonReason::Truncated),
        ("{} x", JsonReason::TrailingBytes),
        ("{}{}", JsonReason::TrailingBytes),
        ("{}\0", JsonReason::TrailingBytes),
        ("[]", JsonReason::NotAnObject),
        ("1", JsonReason::NotAnObject),
        ("\u{feff}{}", JsonReason::ByteOrderMark),
        ("{\"a\":1,\"a\":2}", JsonReason::DuplicateMember),
        ("{\"b\":{\"a\":1,\"a\":2}}", JsonReason::DuplicateMember),
        ("{\"a\":1,\"b\":{},\"a\":2}", JsonReason::DuplicateMember),
        ("{\"\":1,\"\":2}", JsonReason::DuplicateMember),
        ("{\"\\u0061\":1}", JsonReason::EscapedName),
        ("{a:1}", JsonReason::Syntax),
        ("{'a':1}", JsonReason::Syntax),
        ("{\"a\" 1}", JsonReason::Syntax),
        ("{\"a\":1,}", JsonReason::Syntax),
        ("{,}", JsonReason::Syntax),
        ("{\"a\":1 \"b\":2}", JsonReason::Syntax),
        ("{\"a\":1;\"b\":2}", JsonReason::Syntax),
        ("{\"a\":/**/1}", JsonReason::Syntax),
        ("{\"a\":}", JsonReason::Syntax),
        ("{\"a\":]}", JsonReason::Syntax),
        ("{\"a\":[1,]}", JsonReason::Syntax),
        ("{\"a\":[1 2]}", JsonReason::Syntax),
        ("{\"a\":[}", JsonReason::Syntax),
        ("{\"a\":[1}", JsonReason::Syntax),
        ("{\"a\":{]}", JsonReason::Syntax),
        ("{\"a\":nul}", JsonReason::Syntax),
        ("{\"a\":nulll}", JsonReason::Syntax),
        ("{\"a\":True}", JsonReason::Syntax),
        ("{\"a\":NaN}", JsonReason::Syntax),
        ("{\"a\":Infinity}", JsonReason::Syntax),
        ("{\u{a0}}", JsonReason::Syntax),
        ("{\"a\":[[[1]]]}", JsonReason::Depth),
        ("{\"a\":{\"a\":{\"a\":{}}}}", JsonReason::Depth),
        ("{\"a\":\"\n\"}", JsonReason::ControlCharacter),
        ("{\"a\":\"\0\"}", JsonReason::ControlCharacter),
        ("{\"a\0\":1}", JsonReason::ControlCharacter),
        ("{\"a\":\"\\x\"}", JsonReason::Escape),
        ("{\"a\":\"\\u12g4\"}", JsonReason::Escape),
        ("{\"a\":\"\\u+123\"}", JsonReason::Escape),
        ("{\"a\":\"\\ud800\"}", JsonReason::Surrogate),
        ("{\"a\":\"\\udc00\"}", JsonReason::Surrogate),
        ("{\"a\":\"\\ud800\\ud800\"}", JsonReason::Surrogate),
        ("{\"a\":\"\\ud800\\n\"}", JsonReason::Surrogate),
        ("{\"a\":01}", JsonReason::Number),
        ("{\"a\":-}", JsonReason::Number),
        ("{\"a\":-01}", JsonReason::Number),
        ("{\"a\":--1}", JsonReason::Number),
        ("{\"a\":1.}", JsonReason::Number),
        ("{\"a\":1e}", JsonReason::Number),
        ("{\"a\":1e+}", JsonReason::Number),
        ("{\"a\":1.e5}", JsonReason::Number),
        ("{\"a\":1e5.5}", JsonReason::Number),
        ("{\"a\":1+1}", JsonReason::Number),
        ("{\"a\":+1}", JsonReason::Syntax),
        ("{\"a\":.5}", JsonReason::Syntax),
        ("{\"a\":0x10}", JsonReason::Syntax),
        ("{\"a\":-Infinity}", JsonReason::Number),
    ] {
        assert_eq!(read(text.as_bytes()), Err(reason), "{text}");
    }
    assert_eq!(read(b"{\"a\":\"\xff\"}"), Err(JsonReason::Utf8));
    assert_eq!(read(b"{\"a\":\"\xed\xa0\x80\"}"), Err(JsonReason::Utf8));
    assert_eq!(read(b"{\"\xc0\x80\":1}"), Err(JsonReason::Utf8));
}

#[test]
fn takes_32_members_in_each_object_and_no_more() {
    let members = |count: usize| {
        let names: List<_> = (0..count).map(|at| format!("\"m{at}\":0")).collect();
        names.join(",")
    };
    let inner = format!("{{{}}}", members(31));
    assert_eq!(
        read(format!("{{\"z\":{inner},{}}}", members(31)).as_bytes()),
        Ok(())
    );
    let full = members(32);
    let nested = format!(
        "{{{},\"z\":{{{},\"z\":{{{full}}}}}}}",
        members(31),
        members(31)
    );
    assert_eq!(read(nested.as_bytes()), Ok(()));
    assert_eq!(
        read(format!("{{{}}}", members(33)).as_bytes()),
        Err(JsonReason::MemberCount)
    );
    let nested = format!("{{\"z\":{{{}}}}}", members(33));
    assert_eq!(read(nested.as_bytes()), Err(JsonReason::MemberCount));
}

#[test]
fn a_name_may_return_in_another_object() {
    assert_eq!(
        read(b"{\"a\":{\"a\":1},\"b\":{\"a\":1,\"b\":[{\"a\":2}]}}"),
        Err(JsonReason::Depth)
    );
    assert_eq!(
        read(b"{\"a\":{\"a\":{\"a\":1}},\"b\":{\"a\":1,\"b\":2}}"),
        Ok(())
    );
}

/// A generator of numbers that need not be unpredictable (xorshift).
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % bound
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn space(&mut self) -> &'static str {
        self.pick(&["", "", "", " ", "\n", "\t\r\n "])
    }

    fn value(&mut self, depth: usize) -> String {
        let kinds = if depth < MAX_DEPTH { 5 } else { 3 };
        match self.below(kinds) {
            0 => self
                .pick(&["0", "-1", "1.25", "1e9", "9007199254740993", "-0.0E-7"])
                .into(),
            1 => self.pick(&["true", "false", "null"]).into(),
            2 => self
                .pick(&[
                    "\"\"",
                    "\"caf\u{e9}\"",
                    "\"\\ud83d\\ude00\"",
                    "\"a\\\\b\"",
                    "\"\u{1f600}\"",
                ])
                .into(),
            3 => self.object(depth + 1),
            _ => {
                let elements: List<_> = (0..self.below(4)).map(|_| self.value(depth + 1)).collect();
                format!("[{}{}]", self.space(), elements.join(","))
            }
        }
    }

    fn object(&mut self, depth: usize) -> String {
        let mut text = String::from("{");
        for at in 0..self.below(6) {
            let comma = if at > 0 { "," } else { "" };
            let (before, between, after) = (self.space(), self.space(), self.space());
            let value = self.value(depth);
            text += &format!("{comma}{before}\"n{at}\"{between}:{after}{value}");
        }
        text + self.space() + "}"
    }
}

#[test]
fn random_json_is_read_and_its_mutations_never_panic() {
    let seed = 0x6d6f_6f72_6c69_6e65;
    let mut seeded = Seeded(seed);
    for round in 0..5_000 {
        let text = seeded.object(1);
        assert_eq!(
            read(text.as_bytes()),
            Ok(()),
            "seed {seed:#x}, round {round}: {text}"
        );
        for _ in 0..20 {
            let mut bytes = List::from(text.as_bytes());
            match seeded.below(4) {
                0 => bytes.truncate(seeded.below(bytes.len())),
                1 => {
                    let at = seeded.below(bytes.len());
                    bytes.insert(at, u8::try_from(seeded.below(256)).unwrap());
                }
                2 => {
                    bytes.remove(seeded.below(bytes.len()));
                }
                _ => {
                    let at = seeded.below(bytes.len());
                    bytes[at] ^= 1 << seeded.below(8);
                }
            }
            let _ = read(&bytes);
        }
    }
}

#[test]
fn a_truncated_text_is_never_whole() {
    let mut seeded = Seeded(7);
    for _ in 0..200 {
        let text = seeded.object(1);
        for len in 0..text.trim_end().len() {
            assert!(read(&text.as_bytes()[..len]).is_err(), "{}", &text[..len]);
        }
    }
}

#[test]
fn deep_nesting_costs_no_stack() {
    let mut text = String::from("{\"a\":");
    text += &"[".repeat(1 << 20);
    assert_eq!(read(text.as_bytes()), Err(JsonReason::Depth));
}

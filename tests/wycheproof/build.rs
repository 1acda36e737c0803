//! Packs the cases of Wycheproof that a provider can be asked into tables for host and device.
//!
//! A table is a row of cases: the number of the case (2 bytes), what is expected (1), and its fields, each behind its
//! length (2), all with the highest byte first. `src/table.rs` reads it. What is left out is counted by reason.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use der::asn1::UintRef;
use der::{Decode, Reader, SliceReader};
use wycheproof::{TestResult, aead, ecdsa, hkdf, mac, xdh};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    println!("cargo:rerun-if-changed=build.rs");
    let folder = PathBuf::from(env::var("OUT_DIR")?);
    let tables = [
        signatures(
            "ECDSA_P1363",
            ecdsa::TestName::EcdsaSecp256r1Sha256P1363,
            fixed,
        )?,
        signatures("ECDSA_DER", ecdsa::TestName::EcdsaSecp256r1Sha256, from_der)?,
        agreements()?,
        seals("AES_GCM", aead::TestName::AesGcm)?,
        seals("CHACHA_POLY", aead::TestName::ChaCha20Poly1305)?,
        derivations()?,
        codes()?,
    ];
    let mut source = String::new();
    for table in &tables {
        table.write(&folder, &mut source)?;
    }
    fs::write(folder.join("tables.rs"), source)?;
    Ok(())
}

/// One file of cases, packed.
struct Table {
    name: &'static str,
    bytes: Vec<u8>,
    count: usize,
    left_out: BTreeMap<&'static str, usize>,
}

impl Table {
    const fn new(name: &'static str) -> Self {
        Self {
            name,
            bytes: Vec::new(),
            count: 0,
            left_out: BTreeMap::new(),
        }
    }

    fn add(&mut self, number: usize, result: TestResult, fields: &[&[u8]]) -> Outcome<()> {
        self.bytes.extend(u16::try_from(number)?.to_be_bytes());
        self.bytes.push(match result {
            TestResult::Valid => 0,
            TestResult::Invalid => 1,
            TestResult::Acceptable => 2,
        });
        for field in fields {
            self.bytes.extend(u16::try_from(field.len())?.to_be_bytes());
            self.bytes.extend_from_slice(field);
        }
        self.count += 1;
        Ok(())
    }

    fn leave_out(&mut self, reason: &'static str) {
        *self.left_out.entry(reason).or_default() += 1;
    }

    fn write(&self, folder: &Path, source: &mut String) -> Outcome<()> {
        let Self {
            name,
            bytes,
            count,
            left_out,
        } = self;
        fs::write(folder.join(name), bytes)?;
        writeln!(source, "pub(crate) static {name}: Table = Table {{")?;
        writeln!(
            source,
            "    bytes: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}\")),"
        )?;
        writeln!(source, "    count: {count},")?;
        writeln!(source, "    left_out: &[")?;
        for (reason, count) in left_out {
            writeln!(source, "        ({reason:?}, {count}),")?;
        }
        writeln!(source, "    ],\n}};")?;
        Ok(())
    }
}

/// Fields: the point, the message, r and s in 64 bytes.
fn signatures(
    name: &'static str,
    file: ecdsa::TestName,
    read: fn(&[u8]) -> Result<[u8; 64], &'static str>,
) -> Outcome<Table> {
    let mut table = Table::new(name);
    for group in ecdsa::TestSet::load(file)?.test_groups {
        for test in group.tests {
            match read(&test.sig) {
                Ok(signature) => {
                    table.add(
                        test.tc_id,
                        test.result,
                        &[&group.key.key, &test.msg, &signature],
                    )?;
                }
                // No provider ever sees it, so it must not be one that verifies.
                Err(reason) if test.result.must_fail() => table.leave_out(reason),
                Err(reason) => return Err(format!("{name} {}: {reason}", test.tc_id).into()),
            }
        }
    }
    Ok(table)
}

fn fixed(signature: &[u8]) -> Result<[u8; 64], &'static str> {
    signature
        .try_into()
        .map_err(|_| "a signature that is not 64 bytes long")
}

fn from_der(signature: &[u8]) -> Result<[u8; 64], &'static str> {
    let integers = || {
        let mut reader = SliceReader::new(signature)?;
        let [r, s] = reader.sequence(|reader| {
            let (r, s) = (UintRef::decode(reader)?, UintRef::decode(reader)?);
            der::Result::Ok([r, s])
        })?;
        reader.finish()?;
        der::Result::Ok([r, s])
    };
    let integers =
        integers().map_err(|_| "a signature that is not two unsigned integers in DER")?;
    let mut fixed = [0; 64];
    for (half, integer) in fixed.chunks_mut(32).zip(integers) {
        let bytes = integer.as_bytes();
        let start = 32_usize.checked_sub(bytes.len());
        let start = start.ok_or("an integer in DER that is longer than 32 bytes")?;
        half[start..].copy_from_slice(bytes);
    }
    Ok(fixed)
}

/// Fields: the private scalar, the peer's share, the shared secret.
fn agreements() -> Outcome<Table> {
    let mut table = Table::new("X25519");
    for group in xdh::TestSet::load(xdh::TestName::X25519)?.test_groups {
        for test in group.tests {
            let fields: [&[u8]; 3] = [&test.private_key, &test.public_key, &test.shared_secret];
            table.add(test.tc_id, test.result, &fields)?;
        }
    }
    Ok(table)
}

/// Fields: the key, the nonce, the additional data, the plaintext, the ciphertext, the tag.
fn seals(name: &'static str, file: aead::TestName) -> Outcome<Table> {
    let mut table = Table::new(name);
    for group in aead::TestSet::load(file)?.test_groups {
        for test in group.tests {
            if group.key_size != 256 {
                table.leave_out("a key that is not 256 bits long");
            } else if group.nonce_size != 96 {
                table.leave_out("a nonce that is not 96 bits long");
            } else if group.tag_size != 128 {
                table.leave_out("a tag that is not 128 bits long");
            } else {
                let fields: [&[u8]; 6] = [
                    &test.key,
                    &test.nonce,
                    &test.aad,
                    &test.pt,
                    &test.ct,
                    &test.tag,
                ];
                table.add(test.tc_id, test.result, &fields)?;
            }
        }
    }
    Ok(table)
}

/// Fields: the input, the salt, the info, the length of the output in 2 bytes, the output.
fn derivations() -> Outcome<Table> {
    let mut table = Table::new("HKDF");
    for group in hkdf::TestSet::load(hkdf::TestName::HkdfSha256)?.test_groups {
        for test in group.tests {
            let size = u16::try_from(test.size)?.to_be_bytes();
            let fields: [&[u8]; 5] = [&test.ikm, &test.salt, &test.info, &size, &test.okm];
            table.add(test.tc_id, test.result, &fields)?;
        }
    }
    Ok(table)
}

/// Fields: the key, the message, the code, which may be the first bytes of one.
fn codes() -> Outcome<Table> {
    let mut table = Table::new("HMAC");
    for group in mac::TestSet::load(mac::TestName::HmacSha256)?.test_groups {
        for test in group.tests {
            table.add(test.tc_id, test.result, &[&test.key, &test.msg, &test.tag])?;
        }
    }
    Ok(table)
}

//! The generic ES256 JSON Web Signature against RFC 7515.

use moorline_core::crypto::{PublicKey, Secret, SigningKey};
use moorline_core::token::{Base64Reason, JsonReason, MintError, TokenReason, UnpackedToken, jws};

use crate::hex::hex;
use crate::{Case, Failure, ensure};

/// RFC 7515 §A.3.1, the whole signature in compact form.
const COMPACT: &str = "eyJhbGciOiJFUzI1NiJ9.\
     eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
     DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

const HEADER: &[u8] = br#"{"alg":"ES256"}"#;
const PAYLOAD: &[u8] =
    b"{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";

/// RFC 7515 §A.3.1, `x` and `y` of the key.
pub(crate) const X: [u8; 32] =
    hex("7fcdce2770f6c45d4183cbee6fdb4b7b580733357be9ef13bacf6e3c7bd15445");
pub(crate) const Y: [u8; 32] =
    hex("c7f144cd1bbd9b7e872cdfedb9eeb9f4b3695d6ea90b24ad8a4623288588e5ad");

/// RFC 7515 §A.3.1, `d` of the key.
pub(crate) const SCALAR: [u8; 32] =
    hex("8e9b109e719098bf980487df1f5d77e9cb29606ebed2263b5f57c213df84f4b2");

pub(crate) static CASES: &[Case] = &[
    Case {
        name: "the signature of RFC 7515 §A.3 verifies, with its header and payload as printed",
        clause: "RFC 7515 §A.3",
        run: || {
            with_example(|token, key| {
                ensure!(token.header() == HEADER);
                ensure!(token.payload() == PAYLOAD);
                ensure!(jws::verify(&token, &key) == Ok(()));
                Ok(())
            })
        },
    },
    Case {
        name: "the signature of RFC 7515 §A.3 packs to the text it came from",
        clause: "RFC 7515 §A.3",
        run: || {
            with_example(|token, _| {
                let mut text = [0; 256];
                ensure!(token.to_compact(&mut text) == Ok(COMPACT));
                Ok(())
            })
        },
    },
    Case {
        name: "the signature of RFC 7515 §A.3 fails under another key",
        clause: "RFC 7515 §5.2",
        run: || {
            with_example(|token, _| {
                let other = PublicKey::from_bytes(&crate::primitives::RFC_6979_KEY);
                ensure!(other.is_some_and(|key| {
                    jws::verify(&token, &key) == Err(TokenReason::SignatureInvalid)
                }));
                Ok(())
            })
        },
    },
    Case {
        name: "a signature made with the key of RFC 7515 §A.3 verifies",
        clause: "RFC 7515 §5.1",
        run: || signs_under(HEADER, None),
    },
    Case {
        name: "the generic layer ignores header parameters that it does not know",
        clause: "RFC 7515 §4",
        run: || signs_under(br#"{"alg":"ES256","x":[1],"typ":"JOSE"}"#, None),
    },
    Case {
        name: "the generic layer refuses an algorithm other than ES256",
        clause: "RFC 8725 §3.1",
        run: || signs_under(br#"{"alg":"none"}"#, Some(TokenReason::AlgorithmNotAllowed)),
    },
    Case {
        name: "the generic layer refuses every critical extension",
        clause: "RFC 7515 §4.1.11",
        run: || {
            let header = br#"{"alg":"ES256","crit":["b64"],"b64":false}"#;
            signs_under(header, Some(TokenReason::CriticalHeader))
        },
    },
    Case {
        name: "the generic layer refuses a header parameter that stands twice",
        clause: "RFC 7515 §4",
        run: || {
            let header = br#"{"alg":"none","alg":"ES256"}"#;
            signs_under(
                header,
                Some(TokenReason::HeaderJson(JsonReason::DuplicateMember)),
            )
        },
    },
    Case {
        name: "the signature of RFC 7515 §A.3 with its last unused bits set is refused",
        clause: "RFC 7515 §2",
        run: || {
            let mut text = [0; COMPACT.len()];
            text.copy_from_slice(COMPACT.as_bytes());
            // "Q" is 010000: its last four bits stand for nothing.
            text[COMPACT.len() - 1] = b'R';
            let mut out = [0; 256];
            let reason = TokenReason::Base64(Base64Reason::TrailingBits);
            ensure!(UnpackedToken::from_compact(&text, &mut out) == Err(reason));
            Ok(())
        },
    },
];

fn with_example(
    run: fn(UnpackedToken<'_>, PublicKey) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut out = [0; 256];
    let token = UnpackedToken::from_compact(COMPACT.as_bytes(), &mut out);
    ensure!(token.is_ok());
    let key = PublicKey::from_coordinates(&X, &Y);
    ensure!(key.is_some());
    match (token, key) {
        (Ok(token), Some(key)) => run(token, key),
        _ => Ok(()),
    }
}

/// Signs under `header` and verifies; or both making and verifying are refused, for `reason`.
fn signs_under(header: &[u8], reason: Option<TokenReason>) -> Result<(), Failure> {
    let Some(key) = SigningKey::from_scalar(&Secret::new(SCALAR)) else {
        ensure!(false);
        return Ok(());
    };
    ensure!(key.public_key().to_bytes()[1..33] == X);
    let mut out = [0; 256];
    let made = jws::sign(header, PAYLOAD, &key, &[], &mut out).map(|_| ());
    ensure!(made.err() == reason.map(MintError::Refused));
    let mut bytes = heapless::Vec::<u8, 256>::new();
    let signature = key.sign(&jws::signing_hash(header, PAYLOAD), &[]);
    let payload_len = PAYLOAD.len().to_be_bytes();
    let lengths = [
        &header.len().to_be_bytes()[size_of::<usize>() - 1..],
        &payload_len[size_of::<usize>() - 2..],
    ];
    for part in lengths.into_iter().chain([header, PAYLOAD, &signature.0]) {
        ensure!(bytes.extend_from_slice(part).is_ok());
    }
    let verified =
        UnpackedToken::parse_exact(&bytes).map(|token| jws::verify(&token, key.public_key()));
    ensure!(verified == Ok(reason.map_or(Ok(()), Err)));
    Ok(())
}

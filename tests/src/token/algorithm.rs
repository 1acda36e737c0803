//! Attacks on `alg`.

use moorline_core::crypto::Mac;
use moorline_core::token::{Member, TokenReason, UnpackedToken};

use super::forge::{Forgery, case};
use crate::hex::hex;
use crate::primitives::RFC_6979_KEY;
use crate::{Case, Failure, ensure};

const NOT_ALLOWED: TokenReason = TokenReason::AlgorithmNotAllowed;

/// RFC 8725 §3.1: one algorithm, which the verifier names.
const CLAUSE: &str = "RFC 8725 §3.1";

pub(crate) static CASES: &[Case] = &[
    case("alg none is refused", CLAUSE, || {
        algorithm("\"none\"", NOT_ALLOWED)
    }),
    case("alg None is refused", CLAUSE, || {
        algorithm("\"None\"", NOT_ALLOWED)
    }),
    case("alg NONE is refused", CLAUSE, || {
        algorithm("\"NONE\"", NOT_ALLOWED)
    }),
    case("alg nOnE is refused", CLAUSE, || {
        algorithm("\"nOnE\"", NOT_ALLOWED)
    }),
    case("an empty alg is refused", CLAUSE, || {
        algorithm("\"\"", NOT_ALLOWED)
    }),
    case("alg ES256 with a blank after it is refused", CLAUSE, || {
        algorithm("\"ES256 \"", NOT_ALLOWED)
    }),
    case("alg es256 in small letters is refused", CLAUSE, || {
        algorithm("\"es256\"", NOT_ALLOWED)
    }),
    case("alg ES384 is refused", CLAUSE, || {
        algorithm("\"ES384\"", NOT_ALLOWED)
    }),
    case("alg ES512 is refused", CLAUSE, || {
        algorithm("\"ES512\"", NOT_ALLOWED)
    }),
    case("alg ES256K is refused", CLAUSE, || {
        algorithm("\"ES256K\"", NOT_ALLOWED)
    }),
    case("alg RS256 is refused", CLAUSE, || {
        algorithm("\"RS256\"", NOT_ALLOWED)
    }),
    case("alg PS256 is refused", CLAUSE, || {
        algorithm("\"PS256\"", NOT_ALLOWED)
    }),
    case("alg EdDSA is refused", CLAUSE, || {
        algorithm("\"EdDSA\"", NOT_ALLOWED)
    }),
    case("alg null is refused", CLAUSE, || {
        algorithm("null", TokenReason::WrongType(Member::Algorithm))
    }),
    case("alg as a number is refused", CLAUSE, || {
        algorithm("256", TokenReason::WrongType(Member::Algorithm))
    }),
    case("alg as an array is refused", CLAUSE, || {
        algorithm("[\"ES256\"]", TokenReason::WrongType(Member::Algorithm))
    }),
    case("alg as an object is refused", CLAUSE, || {
        algorithm(
            "{\"a\":\"ES256\"}",
            TokenReason::WrongType(Member::Algorithm),
        )
    }),
    case(
        "alg ES256 written with an escape is refused",
        CLAUSE,
        || algorithm("\"ES25\\u0036\"", TokenReason::Escaped(Member::Algorithm)),
    ),
    case(
        "a header without alg is refused",
        "RFC 7515 §4.1.1",
        || {
            Forgery::agent()
                .header("\"alg\":\"ES256\",", "")
                .refused(TokenReason::Missing(Member::Algorithm))
        },
    ),
    case(
        "alg none with an empty signature is refused in compact form",
        CLAUSE,
        || {
            // {"alg":"none"} . {} . nothing
            let mut out = [0; 128];
            let token = UnpackedToken::from_compact(b"eyJhbGciOiJub25lIn0.e30.", &mut out);
            ensure!(token == Err(TokenReason::PartEmpty));
            Ok(())
        },
    ),
    case(
        "HS256 keyed with the coordinates of the issuer's public key is refused",
        CLAUSE,
        || keyed_with_public_key(&RFC_6979_KEY[1..]),
    ),
    case(
        "HS256 keyed with the issuer's public point is refused",
        CLAUSE,
        || keyed_with_public_key(&RFC_6979_KEY),
    ),
    case(
        "HS256 keyed with the issuer's public key in DER is refused",
        CLAUSE,
        || {
            let mut der = heapless::Vec::<u8, 91>::new();
            ensure!(der.extend_from_slice(&DER_HEAD).is_ok());
            ensure!(der.extend_from_slice(&RFC_6979_KEY).is_ok());
            keyed_with_public_key(&der)
        },
    ),
    case(
        "HS256 keyed with the issuer's public key in PEM is refused",
        CLAUSE,
        || keyed_with_public_key(PEM),
    ),
];

/// What stands before the point of a P-256 key in DER (RFC 5480 §2).
const DER_HEAD: [u8; 26] = hex("3059301306072a8648ce3d020106082a8648ce3d030107034200");

/// The public key of RFC 6979 §A.2.5 in PEM (RFC 7468 §13).
const PEM: &[u8] = b"-----BEGIN PUBLIC KEY-----\n\
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYP7UuiVanTHJYet0xjVtaMBJuJI7\n\
Yfps5mliLmDyn7Z5A/4QCLi8maQa6elWKLxk8vGyDC1+n1F3o8KU1EYimQ==\n\
-----END PUBLIC KEY-----\n";

fn algorithm(value: &str, reason: TokenReason) -> Result<(), Failure> {
    Forgery::agent().header("\"ES256\"", value).refused(reason)
}

/// Puts a message authentication code under `key` in the place of the signature.
fn keyed_with_public_key(key: &[u8]) -> Result<(), Failure> {
    let forgery = Forgery::agent().header("ES256", "HS256");
    let bytes = forgery.bytes();
    let mut text = [0; 1024];
    let compact = UnpackedToken::parse_exact(&bytes).map(|token| token.to_compact(&mut text));
    let Ok(Ok(compact)) = compact else {
        ensure!(false);
        return Ok(());
    };
    let signing_input = compact.rsplit_once('.').map_or("", |(input, _)| input);
    ensure!(!signing_input.is_empty());
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(Mac::of(key, &[signing_input.as_bytes()]).as_bytes());
    forgery.signature(signature).refused(NOT_ALLOWED)
}

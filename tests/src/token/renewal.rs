//! A token that follows another within a session.

use moorline_core::token::{Holder, Renewal, TokenReason};

use super::forge::{Forgery, case, read};
use crate::{Case, Failure, ensure};

const CLAUSE: &str = "PROTOCOL.md §5.7";

pub(crate) static CASES: &[Case] = &[
    case(
        "a newer token of the same holder may follow",
        CLAUSE,
        || follows(newer(), Ok(Renewal::SameKey)),
    ),
    case(
        "a newer token with another key asks for a proof of it",
        CLAUSE,
        || {
            let other = newer()
                .payload("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", OTHER_X)
                .payload("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0", OTHER_Y);
            follows(other, Ok(Renewal::NewKey))
        },
    ),
    case(
        "a newer token of a higher generation may follow",
        CLAUSE,
        || {
            follows(
                newer().payload("\"gen\":3", "\"gen\":4"),
                Ok(Renewal::SameKey),
            )
        },
    ),
    case(
        "a newer token of another subject may not follow",
        CLAUSE,
        || {
            follows(
                newer().payload("crane-7", "crane-8"),
                Err(TokenReason::RenewalIdentity),
            )
        },
    ),
    case(
        "a newer token of another role may not follow",
        CLAUSE,
        || {
            let commander = newer().payload("\"role\":\"agent\"", "\"role\":\"commander\"");
            follows(commander, Err(TokenReason::RenewalRole))
        },
    ),
    case(
        "a newer token of a lower generation may not follow",
        CLAUSE,
        || {
            follows(
                newer().payload("\"gen\":3", "\"gen\":2"),
                Err(TokenReason::RenewalGeneration),
            )
        },
    ),
    case("the same token may not follow itself", CLAUSE, || {
        follows(Forgery::agent(), Err(TokenReason::RenewalNotNewer))
    }),
    case("a token issued earlier may not follow", CLAUSE, || {
        let older = Forgery::agent().payload("\"iat\":1800000000", "\"iat\":1799999999");
        follows(older, Err(TokenReason::RenewalNotNewer))
    }),
    case(
        "a token whose jti the caller has revoked is seen before its signature",
        "PROTOCOL.md §2",
        || {
            let bytes = Forgery::agent().signature([0; 64]).bytes();
            let jti = core::array::from_fn(|at| u8::try_from(at).unwrap_or(0));
            ensure!(
                read(&bytes, &Forgery::link()).is_ok_and(|candidate| candidate.claims().jti == jti)
            );
            Ok(())
        },
    ),
];

/// The coordinates of RFC 6979 §A.2.5.
const OTHER_X: &str = "YP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Y";
const OTHER_Y: &str = "eQP-EAi4vJmkGunpVii8ZPLxsgwtfp9Rd6PClNRGIpk";

/// Returns the valid agent's token, issued one second later.
fn newer() -> Forgery {
    Forgery::agent().payload("\"iat\":1800000000", "\"iat\":1800000001")
}

/// Shows `next` after the valid agent's token.
fn follows(next: Forgery, expected: Result<Renewal, TokenReason>) -> Result<(), Failure> {
    let (earlier, next) = (Forgery::agent().bytes(), next.bytes());
    let (earlier, next) = (
        read(&earlier, &Forgery::link()),
        read(&next, &Forgery::link()),
    );
    ensure!(earlier.is_ok() && next.is_ok());
    if let (Ok(earlier), Ok(next)) = (earlier, next) {
        let earlier = earlier.verify_signature();
        ensure!(earlier.is_ok());
        let holder = earlier.map(|earlier| Holder::of(&earlier));
        ensure!(holder.is_ok_and(|holder| holder.check(next.claims()) == expected));
    }
    Ok(())
}

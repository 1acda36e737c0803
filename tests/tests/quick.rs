//! quick
#[test]
fn all() {
    for c in moorline_conformance::cases() {
        let t = std::time::Instant::now();
        let r = (c.run)();
        println!("{:?} {:?} {:?}", c.name, t.elapsed(), r);
        assert!(r.is_ok());
    }
}

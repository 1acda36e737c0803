//! The bench image under the instruction counter.

use moorline_qemu::bench::Cost;
use moorline_qemu::image::{Profile, Provider};
use moorline_qemu::{Error, bench};

#[test]
fn the_meter_counts_instructions_and_counts_them_the_same_twice() -> Result<(), Error> {
    let figures = bench::operations(Profile::Device, Provider::Default)?;
    let calibration = figures
        .iter()
        .find(|figure| figure.id.name == "calibration.4002");
    let calibration = calibration.expect("the image calibrates the meter").cost;
    let Cost::Operation { instructions, .. } = calibration else {
        panic!("{calibration}")
    };
    // The loop, and what sets it up; a tick of the timer is 1.25 instructions.
    assert!((4002..4012).contains(&instructions), "{instructions}");
    assert_eq!(
        bench::operations(Profile::Device, Provider::Default)?,
        figures
    );
    Ok(())
}

//! The agent as a task of an executor, over the serial line, beside a task of the board's own.
//!
//! The other task stands for what the device is for. It runs while the agent waits for its line, and when both wait the
//! core sleeps.

#![forbid(unsafe_code)]
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use embassy_executor::Spawner;
use embassy_time::{Duration, Ticker};
use moorline_firmware::agent::{Agent, MEMORY};
use moorline_firmware::board::executor::{self, Activity};
use moorline_firmware::board::{AsyncUart, Board, FAILURE, Led, exit};

#[entry]
fn main() -> ! {
    let Some(mut board) = Board::take() else {
        exit(FAILURE)
    };
    let clock = board.clock;
    let Some(led) = board.leds.take_last() else {
        exit(FAILURE)
    };
    let agent = match Agent::<AsyncUart>::boot(board, MEMORY.take()) {
        Ok(agent) => agent,
        Err(error) => {
            defmt::error!("cannot start: {}", error);
            exit(FAILURE)
        }
    };
    executor::run(clock, |spawner| spawn(spawner, agent, led))
}

fn spawn(spawner: Spawner, agent: Agent<AsyncUart>, led: Led) {
    // Each is spawned once, and has room for one.
    let (Ok(serving), Ok(blinking)) = (serve(agent), blink(led)) else {
        exit(FAILURE)
    };
    spawner.spawn(serving);
    spawner.spawn(blinking);
}

/// The agent.
#[embassy_executor::task]
async fn serve(agent: Agent<AsyncUart>) {
    agent.run().await
}

/// Switches the LED once a second, and says how often the executor had something to do in that second.
#[embassy_executor::task]
async fn blink(mut led: Led) {
    let mut ticker = Ticker::every(Duration::from_millis(BLINK_MS));
    let mut before = Activity::now();
    let mut count = 0_u32;
    loop {
        ticker.next().await;
        led.toggle();
        count = count.wrapping_add(1);
        let now = Activity::now();
        let Activity { turns, wake_ups } = now.since(before);
        before = now;
        defmt::debug!(
            "blink {=u32}: {=u32} turns, {=u32} wake-ups",
            count,
            turns,
            wake_ups
        );
    }
}

const BLINK_MS: u64 = 1_000;

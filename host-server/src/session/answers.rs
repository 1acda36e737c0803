//! The last answers that a commander on datagrams was carried, for when they are lost (PROTOCOL.md §6.3).
//!
//! A commander that has no answer sends its question again: the same frame of the channel, byte for byte. The agent
//! takes a frame once, so what was answered is carried again from here. Neither can be read or changed.

use std::collections::VecDeque;

use moorline_core::crypto::Hash;
use moorline_core::wire::FrameType;

/// Channels of one session whose last answer is kept; the one that was asked on longest ago goes first.
const MAX_CHANNELS: usize = 4;

/// The last questions and answers of one session.
#[derive(Debug, Default)]
pub(super) struct Answers(VecDeque<Exchange>);

/// A channel, as its commander names it: the agent and a number.
pub(super) type Channel = ([u8; 16], u32);

#[derive(Debug)]
struct Exchange {
    channel: Channel,
    /// The frame that asked, by its hash.
    question: Hash,
    answer: Option<Vec<u8>>,
}

impl Answers {
    /// Notes that `inner` goes to the agent. Returns the answer, if the same was asked before and is answered: then it
    /// need not go there again.
    pub(super) fn ask(&mut self, channel: Channel, inner: &[u8]) -> Option<Vec<u8>> {
        if !is_message(inner) {
            return None;
        }
        let question = Hash::of(&[inner]);
        let place = self.0.iter().position(|kept| kept.channel == channel);
        let same = place.and_then(|place| self.0.remove(place));
        let answer = same
            .filter(|kept| kept.question == question)
            .and_then(|kept| kept.answer);
        if self.0.len() >= MAX_CHANNELS {
            self.0.pop_front();
        }
        self.0.push_back(Exchange {
            channel,
            question,
            answer: answer.clone(),
        });
        answer
    }

    /// Keeps `inner`, which comes from the agent, if it may be an answer.
    pub(super) fn answer(&mut self, channel: Channel, inner: &[u8]) {
        let kept = self.0.iter_mut().find(|kept| kept.channel == channel);
        if let (Some(kept), true) = (kept, is_message(inner)) {
            kept.answer = Some(inner.to_vec());
        }
    }
}

/// Returns whether `inner` is a frame with a message of one end for the other. Handshake and control messages are sent
/// again by themselves.
fn is_message(inner: &[u8]) -> bool {
    inner.first() == Some(&FrameType::Application.code())
}

#[cfg(test)]
mod tests {
    use super::{Answers, MAX_CHANNELS};

    const CHANNEL: super::Channel = ([1; 16], 1);

    #[test]
    fn the_same_question_has_the_same_answer_and_another_has_none() {
        let mut answers = Answers::default();
        assert_eq!(answers.ask(CHANNEL, &[0x20, 1]), None);
        assert_eq!(answers.ask(CHANNEL, &[0x20, 1]), None, "not answered yet");
        answers.answer(CHANNEL, &[0x21, 9]);
        assert_eq!(answers.ask(CHANNEL, &[0x20, 1]), None, "no answer");
        answers.answer(([1; 16], 2), &[0x20, 9]);
        assert_eq!(answers.ask(CHANNEL, &[0x20, 1]), None, "another channel's");
        answers.answer(CHANNEL, &[0x20, 9]);
        for _ in 0..2 {
            assert_eq!(answers.ask(CHANNEL, &[0x20, 1]), Some(vec![0x20, 9]));
        }
        assert_eq!(answers.ask(CHANNEL, &[0x20, 2]), None);
        assert_eq!(answers.ask(CHANNEL, &[0x20, 1]), None, "it is gone");
        // A handshake message neither asks nor forgets.
        answers.answer(CHANNEL, &[0x20, 9]);
        assert_eq!(answers.ask(CHANNEL, &[0x01]), None);
        assert_eq!(answers.ask(CHANNEL, &[0x20, 1]), Some(vec![0x20, 9]));
    }

    #[test]
    fn the_channel_that_was_asked_on_longest_ago_goes_first() {
        let mut answers = Answers::default();
        let channel = |number| ([1; 16], number);
        let mut number = 0;
        for _ in 0..=MAX_CHANNELS {
            answers.ask(channel(number), &[0x20, 1]);
            answers.answer(channel(number), &[0x20, 9]);
            number += 1;
        }
        assert_eq!(answers.0.len(), MAX_CHANNELS);
        assert_eq!(
            answers.ask(channel(number - 1), &[0x20, 1]),
            Some(vec![0x20, 9])
        );
        assert_eq!(answers.ask(channel(0), &[0x20, 1]), None);
        assert_eq!(answers.0.len(), MAX_CHANNELS);
    }
}

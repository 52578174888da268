//! What the terminal answers to a question after nobody waits for it any more: it would be read as keys.

use std::time::{Duration, Instant};

use crossterm::event::{Event, KeyCode, KeyModifiers};

/// Within an answer keys follow one another at once; a person's are farther apart.
const GAP: Duration = Duration::from_millis(50);
/// The colours of text and of the background are both asked for.
const ASKED: u8 = 2;

/// Takes the answers that are still to come (`ESC ] 11 ; rgb:… ESC \`) out of the keys.
#[derive(Debug, Default)]
pub struct LateReplies {
    awaited: u8,
    /// When the last key of an answer came, within one.
    last: Option<Instant>,
}

impl LateReplies {
    /// After questions that were answered, or that were not in time.
    pub fn after(unanswered: bool) -> Self {
        Self { awaited: if unanswered { ASKED } else { 0 }, last: None }
    }

    /// Whether an event is part of such an answer.
    pub fn takes(&mut self, event: &Event, now: Instant) -> bool {
        let Some(key) = event.as_key_press_event().filter(|_| self.awaited > 0) else { return false };
        let is = |code, modifier| key.code == KeyCode::Char(code) && key.modifiers.contains(modifier);
        let within = self.last.is_some_and(|last| now.saturating_duration_since(last) <= GAP);
        let (begins, ends) =
            (is(']', KeyModifiers::ALT), is('\\', KeyModifiers::ALT) || is('g', KeyModifiers::CONTROL));
        self.last = (begins || within && !ends).then_some(now);
        self.awaited -= u8::from(within && ends);
        begins || within
    }
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyEvent;

    use super::*;

    fn key(code: char, modifiers: KeyModifiers) -> Event {
        Event::Key(KeyEvent::new(KeyCode::Char(code), modifiers))
    }

    /// An answer as crossterm reads it, ended by ST or BEL.
    fn answer(bell: bool) -> Vec<Event> {
        let end = if bell { key('g', KeyModifiers::CONTROL) } else { key('\\', KeyModifiers::ALT) };
        let text = "11;rgb:0000/dddd/ffff".chars().map(|c| key(c, KeyModifiers::NONE));
        std::iter::once(key(']', KeyModifiers::ALT)).chain(text).chain([end]).collect()
    }

    fn left(replies: &mut LateReplies, events: &[Event], now: Instant) -> usize {
        events.iter().filter(|event| !replies.takes(event, now)).count()
    }

    #[test]
    fn answers_are_taken_out_and_what_follows_them_is_keys_again() {
        let (now, mut replies) = (Instant::now(), LateReplies::after(true));
        for bell in [false, true] {
            assert_eq!(left(&mut replies, &answer(bell), now), 0);
            assert!(!replies.takes(&key('r', KeyModifiers::NONE), now));
        }
        assert_eq!(left(&mut replies, &answer(false), now), answer(false).len(), "both are there already");
    }

    #[test]
    fn where_all_was_answered_every_key_is_a_key() {
        assert_eq!(left(&mut LateReplies::after(false), &answer(true), Instant::now()), answer(true).len());
    }

    #[test]
    fn a_key_that_comes_later_is_a_persons() {
        let (now, mut replies) = (Instant::now(), LateReplies::after(true));
        assert!(replies.takes(&key(']', KeyModifiers::ALT), now));
        assert!(!replies.takes(&key('j', KeyModifiers::NONE), now + 2 * GAP));
        assert!(!replies.takes(&key('j', KeyModifiers::NONE), now + 2 * GAP));
    }
}

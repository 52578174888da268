//! Inputs made of valid ones: bytes changed, and JSON changed as JSON.

use serde_json::{Map, Value, json};

/// Random numbers (splitmix64).
#[derive(Debug, Clone)]
pub struct Draw(pub u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, or 0.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.next() % end as u64) as usize }
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }
}

/// What parsers stumble over.
const WORDS: [&str; 26] = [
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775808",
    "4294967296",
    "-1",
    "0",
    "1e999",
    "-0.0",
    "1e-400",
    "0.5",
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "\\u0000",
    "\\ud800",
    "\u{202e}",
    "\u{1b}[31m",
    "\"__metadata__\":",
    "../",
    "*",
    "{a,b",
    "[[[[[[[[",
    "é",
    "99999999",
];

/// A new input out of the seeds, at most `longest` bytes.
pub fn made(draw: &mut Draw, seeds: &[Vec<u8>], framed: bool, longest: usize) -> Vec<u8> {
    let seed = draw.one(seeds).cloned().unwrap_or_default();
    let (mut head, mut text, mut tail) = (Vec::new(), seed.clone(), Vec::new());
    if framed && seed.len() >= 8 {
        let length = u64::from_le_bytes(seed[..8].try_into().unwrap_or_default()) as usize;
        let end = length.saturating_add(8).min(seed.len());
        (head, text, tail) = (seed[..8].to_vec(), seed[8..end].to_vec(), seed[end..].to_vec());
    }
    if draw.below(2) == 0
        && let Ok(mut value) = serde_json::from_slice::<Value>(&text)
    {
        for _ in 0..=draw.below(3) {
            change_value(draw, &mut value, 0);
        }
        text = value.to_string().into_bytes();
    } else {
        for _ in 0..=draw.below(6) {
            change_bytes(draw, &mut text, seeds);
        }
    }
    if framed {
        // Mostly the length that it has, or little of what is meant would be seen.
        if draw.below(8) > 0 {
            head = (text.len() as u64).to_le_bytes().to_vec();
        } else if let Some(byte) = {
            let at = draw.below(head.len());
            head.get_mut(at)
        } {
            *byte = draw.below(256) as u8;
        }
        if draw.below(8) == 0 {
            change_bytes(draw, &mut tail, seeds);
        }
    }
    let mut whole = [head, text, tail].concat();
    whole.truncate(longest);
    whole
}

fn change_bytes(draw: &mut Draw, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    let at = draw.below(bytes.len() + 1);
    let some = (1 + draw.below(16)).min(bytes.len() - at);
    let word = draw.one(&WORDS).copied().unwrap_or_default();
    match draw.below(7) {
        0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << draw.below(8)),
        1 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = draw.below(256) as u8),
        2 => drop(bytes.drain(at..at + some)),
        3 => {
            let copy = bytes[at..at + some].to_vec();
            let to = draw.below(bytes.len() + 1);
            bytes.splice(to..to, copy);
        }
        4 => drop(bytes.splice(at..at, word.bytes())),
        5 => {
            // In place of a number or a word.
            let end =
                bytes[at..].iter().position(|byte| b",}]:\n".contains(byte)).map_or(bytes.len(), |length| at + length);
            bytes.splice(at..end, word.bytes());
        }
        _ => {
            let other = draw.one(seeds).cloned().unwrap_or_default();
            let from = draw.below(other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
    }
}

fn change_value(draw: &mut Draw, value: &mut Value, depth: usize) {
    let inner = match value {
        Value::Object(members) if draw.below(4) > 0 => {
            let at = draw.below(members.len());
            if draw.below(5) == 0 {
                return change_members(draw, members, at);
            }
            members.iter_mut().nth(at).map(|(_, value)| value)
        }
        Value::Array(items) if draw.below(4) > 0 => {
            let at = draw.below(items.len());
            if draw.below(4) == 0 {
                let copy = items.get(at).cloned();
                items.splice(at..at, copy);
                return;
            }
            items.get_mut(at)
        }
        _ => None,
    };
    match inner {
        Some(inner) if depth < 32 => change_value(draw, inner, depth + 1),
        _ => *value = odd(draw, value),
    }
}

fn change_members(draw: &mut Draw, members: &mut Map<String, Value>, at: usize) {
    let Some((name, value)) = members.iter().nth(at).map(|(name, value)| (name.clone(), value.clone())) else { return };
    match draw.below(3) {
        0 => drop(members.remove(&name)),
        1 => {
            let word = draw.one(&WORDS).copied().unwrap_or_default();
            members.insert(format!("{name}{word}"), value);
        }
        _ => {
            let other = members.iter().nth(draw.below(members.len())).map(|(_, value)| value.clone());
            members.insert(name, other.unwrap_or_default());
        }
    }
}

/// A value that the place is not used to.
fn odd(draw: &mut Draw, value: &Value) -> Value {
    let number = value.as_i64().unwrap_or(1);
    match draw.below(16) {
        0 => Value::Null,
        1 => json!(u64::MAX),
        2 => json!(i64::MIN),
        3 => json!(number.wrapping_neg()),
        4 => json!(0),
        5 => json!(number.saturating_add(1)),
        6 => json!(number.saturating_mul(2)),
        7 => json!(1e300),
        8 => json!(0.3),
        9 => json!(""),
        10 => json!("\u{202e}\u{0}\u{1b}[2J"),
        11 => json!([value, value]),
        12 => json!({ "x": value }),
        13 => json!(value.as_bool() != Some(true)),
        14 => json!(1_u64 << draw.below(63)),
        _ => json!(draw.one(&WORDS)),
    }
}

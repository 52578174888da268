//! Names and metadata from files, made safe to show, and words compared with what a person may have meant.

/// `text` with control, bidi and zero-width characters escaped (`\u{1b}`, `\n`, `\t`) and cut to `limit` characters,
/// the last of which is then `…`.
///
/// ```
/// assert_eq!(rankscope::checkpoint::escaped("a\u{1b}[2J", 20), r"a\u{1b}[2J");
/// assert_eq!(rankscope::checkpoint::escaped("transformer", 6), "trans…");
/// ```
pub fn escaped(text: &str, limit: usize) -> String {
    let mut out = String::new();
    let mut length = 0;
    // Where to cut so that the ellipsis still fits.
    let mut cut = 0;
    for c in text.chars() {
        let before = out.len();
        push_escaped(&mut out, c);
        length += out.get(before..).unwrap_or_default().chars().count();
        if length > limit {
            out.truncate(cut);
            if limit > 0 {
                out.push('…');
            }
            return out;
        }
        if length < limit {
            cut = out.len();
        }
    }
    out
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '\n' | '\r' | '\t' => out.extend(c.escape_default()),
        c if c.is_control() || is_invisible(c) => out.extend(c.escape_unicode()),
        c => out.push(c),
    }
}

/// Characters without a width of their own that change how others are read: bidi controls, zero-width and line
/// separators, byte order mark, interlinear annotation, tags.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The one of `among` that `word` was probably meant to be, for "did you mean": at most a third of its characters
/// differ (swapped neighbours count once, case does not count). The first of equals wins.
///
/// ```
/// use rankscope::checkpoint::nearest;
/// assert_eq!(nearest("wieghting", ["rank", "weighting"]), Some("weighting"));
/// assert_eq!(nearest("colour", ["rank", "weighting"]), None);
/// ```
pub fn nearest<'a>(word: &str, among: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let length = word.chars().count();
    among
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= length.max(candidate.chars().count()).div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        let cases = [
            ("plain.weight", "plain.weight"),
            ("\u{1b}[31m", r"\u{1b}[31m"),
            ("a\nb\tc\rd", r"a\nb\tc\rd"),
            ("\u{7f}\u{9b}\0", r"\u{7f}\u{9b}\u{0}"),
            ("\u{202a}\u{202e}", r"\u{202a}\u{202e}"),
            ("\u{2066}\u{2069}", r"\u{2066}\u{2069}"),
            ("\u{200e}\u{200f}", r"\u{200e}\u{200f}"),
            ("a\u{200b}b\u{200d}", r"a\u{200b}b\u{200d}"),
            ("\u{feff}x", r"\u{feff}x"),
            ("\u{2028}", r"\u{2028}"),
            ("Ġthe ▁café 猫", "Ġthe ▁café 猫"),
        ];
        for (text, safe) in cases {
            assert_eq!(escaped(text, 100), safe);
        }
    }

    #[test]
    fn long_text_is_cut_between_characters_and_never_inside_an_escape() {
        assert_eq!(escaped("abcdef", 6), "abcdef");
        assert_eq!(escaped("abcdefg", 6), "abcde…");
        assert_eq!(escaped("ab\u{1b}cd", 6), "ab…");
        assert_eq!(escaped("猫猫猫", 2), "猫…");
        assert_eq!(escaped("abc", 1), "…");
        assert_eq!(escaped("abc", 0), "");
        assert_eq!(escaped("", 0), "");
    }

    #[test]
    fn nearest_finds_slips_and_leaves_strangers_alone() {
        let keys = ["match", "base", "rank", "factors", "group"];
        assert_eq!(nearest("rnak", keys), Some("rank"));
        assert_eq!(nearest("factor", keys), Some("factors"));
        assert_eq!(nearest("Base", keys), Some("base"));
        assert_eq!(nearest("temperature", keys), None);
        assert_eq!(nearest("x", []), None);
    }

    proptest::proptest! {
        #[test]
        fn escaped_text_is_short_and_printable(text in ".*", limit in 0_usize..40) {
            let safe = escaped(&text, limit);
            assert!(safe.chars().count() <= limit);
            assert!(!safe.chars().any(|c| c.is_control() || is_invisible(c)));
        }
    }
}

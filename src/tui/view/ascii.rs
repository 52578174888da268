//! The screen in ASCII alone, for consoles and fonts without the other glyphs.

use ratatui::buffer::Buffer;

/// Glyphs of ours, and what stands for all of them.
const GLYPHS: [(&str, char); 17] = [
    ("━╌─–▄▌", '-'),
    ("│┊", '|'),
    ("╭╮╰╯┌┐└┘├┤┬┴┼±▆▊", '+'),
    ("▸›→↳⇥", '>'),
    ("‹←⇤", '<'),
    ("↑▲", '^'),
    ("↓▼✓", 'v'),
    ("●■◆▰▇▉", '*'),
    ("○▱▯", 'o'),
    ("·▂▎", '.'),
    ("…⏎↵", '~'),
    ("×✕✗", 'x'),
    ("↻", '@'),
    ("≠█▐┃", '#'),
    ("↷", 'r'),
    ("∎▅▋", '='),
    ("▁▏␣", '_'),
];

/// What stands for a glyph of ours; text of models and files stays as it is.
fn plain(glyph: char) -> Option<char> {
    match glyph {
        ' '..='~' => None,
        '▃' | '▍' => Some(':'),
        '\u{2800}'..='\u{28ff}' => Some(match (u32::from(glyph) & 0xff).count_ones() {
            0 => ' ',
            1 | 2 => '.',
            3 | 4 => ':',
            _ => '*',
        }),
        _ => GLYPHS.iter().find(|(glyphs, _)| glyphs.contains(glyph)).map(|(_, plain)| *plain),
    }
}

/// Replaces our glyphs on the whole screen.
pub fn translate(buffer: &mut Buffer) {
    let mut text = [0; 4];
    for cell in &mut buffer.content {
        let mut characters = cell.symbol().chars();
        if let (Some(glyph), None) = (characters.next(), characters.next())
            && let Some(plain) = plain(glyph)
        {
            cell.set_symbol(plain.encode_utf8(&mut text));
        }
    }
}

//! The one list of what a person can do: it feeds the keys, the palette, the help, the footer and the mouse.

use std::fmt::Write as _;

use super::context::Context;
use super::keymap::Keymap;

const EVERYWHERE: &[Context] = &Context::ALL;
const PANES: &[Context] = &[Context::Layers, Context::Spectrum, Context::Text];
const LAYERED: &[Context] = &[Context::Layers, Context::Spectrum];
const LAYERS: &[Context] = &[Context::Layers];
const SPECTRUM: &[Context] = &[Context::Spectrum];
const TEXT: &[Context] = &[Context::Text];
const LIST: &[Context] = &[Context::List];
const EXPLAIN: &[Context] = &[Context::Explain];
const HISTORY: &[Context] = &[Context::History];
const COLUMNS: &[Context] = &[Context::Columns];
const COPY: &[Context] = &[Context::Copy];
const LOG: &[Context] = &[Context::Log];
const LISTS: &[Context] = &[Context::Jobs, Context::Log, Context::Explain, Context::Columns, Context::History];
const JOBS: &[Context] = &[Context::Jobs];
const EXPORT: &[Context] = &[Context::Export];
const REVIEW: &[Context] = &[Context::Review];
const FRONTIER: &[Context] = &[Context::Frontier];
const PROBES: &[Context] = &[Context::Probes];
const COMPARISON: &[Context] = &[Context::Comparison];
const MEASURED: &[Context] = &[Context::Frontier, Context::Probes, Context::Comparison];
const STEPPED: &[Context] = &[Context::Review, Context::Frontier, Context::Probes, Context::Comparison];
const CONFIRM: &[Context] = &[Context::Confirm];
const INPUT: &[Context] = &[Context::Input];

/// Keys of an action in some contexts; keys are separated by spaces (`j down ctrl-n`).
#[derive(Debug, Clone, Copy)]
pub struct Binding {
    /// Where they count.
    pub contexts: &'static [Context],
    /// The keys; the first one is shown.
    pub keys: &'static str,
}

/// What actions are about: the help and the page of keys gather them so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// Moving.
    Moving,
    /// Choosing layers.
    Layers,
    /// Choosing compression.
    Plans,
    /// Going back.
    Steps,
    /// Looking.
    Looking,
    /// Texts.
    Texts,
    /// Measuring.
    Measuring,
    /// Files and copies.
    Files,
    /// Jobs and log.
    Jobs,
    /// Help, screen, leaving.
    Program,
}

impl Topic {
    /// Its name in the help.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Moving => "Moving",
            Self::Layers => "Choosing layers",
            Self::Plans => "Choosing compression",
            Self::Steps => "Going back",
            Self::Looking => "Looking",
            Self::Texts => "Texts",
            Self::Measuring => "Measuring",
            Self::Files => "Files and copies",
            Self::Jobs => "Jobs and log",
            Self::Program => "Help, screen, leaving",
        }
    }
}

/// All that the screen knows about an action.
#[derive(Debug, Clone, Copy)]
pub struct Info {
    /// The action.
    pub action: Action,
    /// What it is about.
    pub topic: Topic,
    /// Its short name, as footer and palette show it.
    pub title: &'static str,
    /// One sentence for the help.
    pub description: &'static str,
    /// Its keys.
    pub bindings: &'static [Binding],
    /// Its place in the footer, 1 first; 0: not there.
    pub footer: u8,
}

const fn on(contexts: &'static [Context], keys: &'static str) -> Binding {
    Binding { contexts, keys }
}

macro_rules! actions {
    ($($topic:ident { $($action:ident, $footer:literal, $title:literal, $description:literal, [$(($contexts:expr, $keys:literal)),+];)+ })+) => {
        /// Something that a person can do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action {
            $($(#[doc = $description] $action,)+)+
        }

        /// Every action, by topics, in the order in which the help shows them.
        pub const ACTIONS: &[Info] = &[
            $($(Info {
                action: Action::$action,
                topic: Topic::$topic,
                title: $title,
                description: $description,
                bindings: &[$(on($contexts, $keys)),+],
                footer: $footer,
            },)+)+
        ];
    };
}

actions! {
    Moving {
        MoveUp, 0, "up", "Moves one line up.", [(PANES, "k up"), (LIST, "up ctrl-p"), (LISTS, "k up"), (STEPPED, "k up"), (EXPORT, "up")];
        MoveDown, 0, "down", "Moves one line down.", [(PANES, "j down"), (LIST, "down ctrl-n"), (LISTS, "j down"), (STEPPED, "j down"), (EXPORT, "down")];
        PageUp, 0, "page up", "Moves a page up.", [(PANES, "pageup ctrl-b ctrl-u"), (LIST, "pageup"), (LISTS, "pageup"), (STEPPED, "pageup ctrl-b ctrl-u")];
        PageDown, 0, "page down", "Moves a page down.", [(PANES, "pagedown ctrl-f ctrl-d"), (LIST, "pagedown"), (LISTS, "pagedown"), (STEPPED, "pagedown ctrl-f ctrl-d")];
        Home, 0, "first", "Goes to the first line.", [(PANES, "home"), (LIST, "home"), (LISTS, "home"), (STEPPED, "home")];
        End, 0, "last", "Goes to the last line.", [(PANES, "end G"), (LIST, "end"), (LISTS, "end G"), (STEPPED, "end G")];
        MapLeft, 0, "left", "Goes to the column on the left; in the map, to the kind on the left.", [(LAYERS, "h left")];
        MapRight, 0, "right", "Goes to the column on the right; in the map, to the kind on the right.", [(LAYERS, "l right")];
        NextPane, 12, "next pane", "Goes to the next pane: from the layers to the texts, then to the spectrum.", [(PANES, "tab")];
        PreviousPane, 0, "pane before", "Goes to the pane before.", [(PANES, "backtab")];
        ShowSpectrum, 0, "spectrum", "Goes to the singular values of the layer, or back.", [(PANES, "s")];
        NextField, 1, "next field", "Goes to the next field.", [(EXPORT, "tab")];
        PreviousField, 0, "field before", "Goes to the field before.", [(EXPORT, "backtab")];
    }
    Layers {
        Mark, 2, "select", "Selects the layer under the cursor, or no longer, and goes one down.", [(LAYERED, "space")];
        MarkAll, 0, "select all", "Selects every layer that the filter shows; none, where all are selected.", [(LAYERED, "a")];
        MarkInvert, 0, "invert selection", "Selects what is not selected among the layers that the filter shows.", [(LAYERED, "i")];
        MarkKind, 0, "select kind", "Selects all layers of the kind under the cursor.", [(LAYERED, "K")];
        MarkBlock, 0, "select block", "Selects all layers of the block under the cursor.", [(LAYERED, "B")];
        Filter, 8, "filter", "Filters the layers as you type: words, kind:k block:4..8 plan:svd is:changed, error>0.5 after<1MB; the last word can be completed.", [(LAYERED, "/")];
    }
    Plans {
        Compress, 3, "compress", "Makes the selection low-rank, or dense again.", [(LAYERED, "c")];
        Rank, 4, "rank", "Asks for a rank, for the selection or the layer under the cursor.", [(LAYERED, "r enter")];
        Energy, 14, "energy", "Asks for the share of energy to keep (0.9 or 90%) and takes the least rank that keeps it.", [(LAYERED, "e")];
        RankUp, 0, "rank +1", "Raises the rank by one.", [(LAYERED, "+ ="), (SPECTRUM, "l right")];
        RankDown, 0, "rank -1", "Lowers the rank by one.", [(LAYERED, "-"), (SPECTRUM, "h left")];
        RankUpMore, 0, "rank +8", "Raises the rank by eight.", [(LAYERED, "]"), (SPECTRUM, "L shift-right")];
        RankDownMore, 0, "rank -8", "Lowers the rank by eight.", [(LAYERED, "["), (SPECTRUM, "H shift-left")];
        RankDouble, 0, "rank x2", "Doubles the rank.", [(LAYERED, "}")];
        RankHalve, 0, "rank /2", "Halves the rank.", [(LAYERED, "{")];
        Base, 7, "base", "Changes the base: dense, int8, int4, none (low-rank alone).", [(LAYERED, "b")];
        GroupLength, 0, "groups", "Changes the group length of an int8 or int4 base: a row, 128, 64, 32; or 32, 64, 128, 16.", [(LAYERED, "y")];
        Factors, 0, "factors", "Changes the type of the factors: int8, f16, f32.", [(LAYERED, "f")];
        Dense, 0, "dense", "Makes the selection dense, as the checkpoint has it.", [(LAYERED, "d")];
        NormCorrection, 0, "norm correction", "Switches norm correction of the low-rank part on or off (it can only raise the error).", [(LAYERED, "N")];
        Weighting, 0, "weighting", "Weights the error by the layer's inputs over the calibration text, or plain again.", [(LAYERED, "A")];
        Refit, 0, "refit", "Fits U anew once Vh is quantized, or no longer.", [(LAYERED, "E")];
        Budget, 15, "plan within a budget", "Seeks the best policy within a budget: a share (40%), a size (900MB) or bits a weight (4.5bpw).", [(PANES, "P")];
        Review, 0, "review the proposal", "Shows the policy that was found for a budget, to accept or reject layer by layer.", [(PANES, "V")];
        ToggleChange, 1, "accept", "Accepts the change under the cursor, or rejects it, and goes one down.", [(REVIEW, "space")];
        ToggleKind, 3, "its kind", "Accepts the changes of all layers of the kind under the cursor; rejects them where all were accepted.", [(REVIEW, "a")];
        AcceptAll, 4, "all", "Accepts every change.", [(REVIEW, "A")];
        RejectAll, 5, "none", "Rejects every change.", [(REVIEW, "n")];
        Apply, 2, "apply", "Gives the accepted layers their proposed plans, as one step that can be undone.", [(REVIEW, "enter")];
    }
    Steps {
        Undo, 11, "undo", "Undoes the last change of plans.", [(PANES, "u")];
        Redo, 0, "redo", "Does it again.", [(PANES, "ctrl-r")];
        History, 0, "history", "Lists every change of plans and the snapshots, to go back to one or to compare two.", [(PANES, "U")];
        TakeSnapshot, 3, "snapshot", "Keeps the plans as they are under a name.", [(PANES, "W"), (HISTORY, "s")];
        GoThere, 1, "go there", "Goes to that step, or takes the plans of that snapshot as one undoable change.", [(HISTORY, "enter")];
        CompareWith, 2, "compare with", "Compares the others with this one, or with the plans as they are again.", [(HISTORY, "space")];
        DropSnapshot, 4, "drop", "Forgets the snapshot.", [(HISTORY, "backspace")];
    }
    Looking {
        SortNext, 0, "sort by next column", "Sorts by the next column.", [(LAYERS, ">")];
        SortPrevious, 0, "sort by previous column", "Sorts by the column before.", [(LAYERS, "<")];
        SortHere, 0, "sort by this column", "Sorts by the column under the cursor; again, in the other direction.", [(LAYERS, ";")];
        SortReverse, 0, "reverse order", "Turns the order of the table round.", [(LAYERS, "S")];
        Group, 0, "group", "Gathers the layers by block, by kind, or not, with sums at the head of each group.", [(LAYERS, "O")];
        ChooseColumns, 0, "columns", "Chooses the table's columns and how wide they are.", [(LAYERS, ",")];
        ToggleColumn, 1, "show", "Shows the column, or no longer.", [(COLUMNS, "space x enter")];
        Wider, 2, "wider", "Makes the column wider.", [(COLUMNS, "l right +")];
        Narrower, 3, "narrower", "Makes the column narrower.", [(COLUMNS, "h left -")];
        FitColumn, 4, "fit", "Gives the column the width of what stands in it.", [(COLUMNS, "f =")];
        Explain, 19, "what it means", "Explains the figure under the cursor, and all others.", [(PANES, "w"), (STEPPED, "w")];
        ToggleMap, 13, "map", "Shows the layers as a map (blocks down, kinds across) or as a table.", [(PANES, "m")];
        MapMetric, 0, "map figure", "Shows another figure in the map: errors, rank, bytes, KLD alone and over noise, effective and stable rank, alpha.", [(PANES, "M")];
        Overlay, 6, "overlay", "Lays the spectra of all layers of the kind behind this one, and names the odd one.", [(SPECTRUM, "O")];
        ZoomIn, 0, "zoom in", "Shows half as many ranks, around the cut.", [(SPECTRUM, ">")];
        ZoomOut, 0, "zoom out", "Shows twice as many ranks.", [(SPECTRUM, "<")];
        Linear, 0, "log or linear", "Shows singular values by order of magnitude, or by value.", [(SPECTRUM, ";")];
        Zoom, 0, "zoom", "Gives the whole screen to the pane, or shares it again.", [(PANES, "z")];
    }
    Texts {
        Generate, 5, "write", "Lets both models write from the prompt, from the start.", [(PANES, "g")];
        Stop, 5, "stop", "Stops writing.", [(PANES, ".")];
        EditPrompt, 1, "prompt", "Edits the prompt.", [(PANES, "p"), (TEXT, "enter i")];
        NextPrompt, 0, "next prompt", "Takes the next sample prompt.", [(PANES, "n")];
        MaxTokens, 0, "length", "Asks for the most tokens to write.", [(PANES, "t")];
        Sampling, 0, "sampling", "Asks for the temperature, and a seed after it: 0 is greedy, 0.8 7 samples with seed 7.", [(PANES, "T")];
        Chat, 0, "chat", "Takes the prompt as what a user says to the model, by its chat template, or as text to go on with.", [(PANES, "I")];
        Arithmetic, 0, "fast arithmetic", "Lets the compressed model round inputs to INT8 where weights are INT8 or INT4, and of long prompts to bfloat16 elsewhere, or compute exactly again.", [(PANES, "X")];
        TokenBefore, 0, "token before", "In the texts, goes to the token before; the first time, to where the texts part.", [(TEXT, "left h")];
        TokenNext, 2, "token", "In the texts, goes to the next token, and shows what both models thought likely there.", [(TEXT, "right l")];
        Branch, 3, "branch", "Writes anew from the token under the cursor in the texts, by the plans as they are now, as a text of its own.", [(TEXT, "b")];
        Pin, 0, "pin", "Pins the plans as they are now as A, then B: from then on they write beside the plans that follow.", [(TEXT, "a")];
        Unpin, 0, "unpin", "Lets the pinned plans go.", [(TEXT, "A")];
        NextPolicy, 6, "policy", "Looks at the next of the policies that write side by side: its words, its strip, its distributions.", [(TEXT, "c")];
        StopLoops, 0, "stop at loops", "Ends a text as soon as it loops, or lets it go on again.", [(TEXT, "L")];
        NextText, 4, "next text", "Shows the next of the texts that are kept.", [(TEXT, "]")];
        PreviousText, 0, "text before", "Shows the text before among those that are kept.", [(TEXT, "[")];
        CloseText, 0, "close text", "Keeps the text on the screen no longer.", [(TEXT, "delete")];
        ReopenText, 0, "text back", "Brings back the text that was closed last, as far as it was written.", [(TEXT, "Z")];
    }
    Measuring {
        Compare, 16, "compare over a text", "Compares both models over a text: KLD, perplexity, drift and attention by block, errors of layers, loops in what they write.", [(PANES, "v")];
        TryAlone, 6, "try each layer", "Measures the KLD of compressing each layer alone, as planned or to a quarter of its rank.", [(PANES, "D")];
        RestoreAlone, 0, "restore each layer", "Measures the KLD that is left when each compressed layer alone is made dense again.", [(PANES, "R")];
        Frontier, 17, "frontier", "Shows bytes against KLD: the plans as they are, uniform policies, and the best found for several budgets.", [(PANES, "F")];
        Probes, 18, "probes", "Shows how many probes both models continue as expected, and the cases that only one of them gets right.", [(PANES, "Q")];
        Calibrate, 0, "calibrate", "Computes the input statistics of all layers now; they are computed when a plan first needs them.", [(PANES, "C")];
        MeasureAgain, 3, "measure again", "Measures anew, with the plans as they are now.", [(FRONTIER, "r"), (COMPARISON, "r")];
        OtherText, 4, "other text", "Asks for a text file, and compares over it; nothing: the evaluation text in the program.", [(COMPARISON, "o")];
        AskAgain, 2, "ask again", "Asks the same probes anew, with the plans as they are now.", [(PROBES, "r")];
        OtherProbes, 3, "other probes", "Asks for a JSON Lines file of prompt and expected, and asks its probes.", [(PROBES, "o")];
    }
    Files {
        Export, 10, "export", "Saves the policy or writes a compressed or dense checkpoint.", [(PANES, "x ctrl-s")];
        NextChoice, 2, "next format", "Chooses the next format.", [(EXPORT, "ctrl-n")];
        PreviousChoice, 0, "format before", "Chooses the format before.", [(EXPORT, "ctrl-p")];
        Overwrite, 3, "overwrite", "Allows or forbids to write over what is there.", [(EXPORT, "ctrl-o")];
        Write, 4, "write", "Writes what the dialog describes.", [(EXPORT, "enter")];
        ExportFrontier, 2, "write it", "Writes the frontier as SVG or JSON, by the ending of the path that is asked for.", [(FRONTIER, "x ctrl-s")];
        OpenModel, 0, "open model", "Asks for another model: a folder, a file, owner/name from the cache, or demo.", [(PANES, "o")];
        Copy, 0, "copy", "Copies a cell, a row or the table to the clipboard.", [(LAYERED, "Y")];
        CopyCell, 1, "cell", "Copies the figure under the cursor with all its digits; of the spectrum, every singular value.", [(COPY, "c")];
        CopyRow, 2, "row", "Copies the layer under the cursor, its columns between tabs.", [(COPY, "r")];
        CopyRowJson, 3, "row as JSON", "Copies the layer under the cursor with every figure known of it.", [(COPY, "R")];
        CopyTable, 4, "table", "Copies the selected layers, or else all that are shown, columns between tabs.", [(COPY, "t")];
        CopyTableText, 5, "table as text", "Copies them as the table shows them.", [(COPY, "x")];
        CopyTableJson, 6, "table as JSON", "Copies them with every figure known of them.", [(COPY, "T")];
    }
    Jobs {
        Jobs, 0, "jobs", "Lists jobs with progress, and the messages so far.", [(PANES, "J")];
        CancelJob, 1, "cancel job", "Cancels the job under the cursor.", [(JOBS, "c x delete"), (MEASURED, "c")];
        RetryJob, 2, "retry", "Does the job under the cursor once more, where it failed or was cancelled.", [(JOBS, "r")];
        Log, 0, "log", "Shows what the program did, as its log has it: jobs, models opened, warnings and failures with their reasons.", [(PANES, "!"), (JOBS, "l !")];
        FilterLog, 1, "filter", "Shows the entries of the log alone that have the words typed.", [(LOG, "/")];
        LogLevel, 2, "warnings", "Shows warnings and errors alone, then errors alone, then all.", [(LOG, "l")];
        CopyEntry, 3, "copy entry", "Copies the entry under the cursor to the clipboard.", [(LOG, "c")];
        CopyLog, 4, "copy all", "Copies every entry that is shown, for whoever is to look into a fault.", [(LOG, "Y y")];
    }
    Program {
        Help, 31, "help", "Shows the keys that count here; type to filter, Enter runs one.", [(PANES, "? f1"), (LISTS, "? f1"), (STEPPED, "? f1")];
        Palette, 30, "palette", "Finds a command by its name and runs it.", [(PANES, ": ctrl-p")];
        Accept, 1, "run", "Runs the chosen command.", [(LIST, "enter")];
        Tour, 0, "tour", "Begins the tour of six steps, or ends it.", [(PANES, "f2")];
        Yes, 1, "yes", "Answers yes.", [(CONFIRM, "y")];
        No, 2, "no", "Answers no.", [(CONFIRM, "n esc q")];
        Enter, 1, "take", "Takes what was typed.", [(INPUT, "enter")];
        Complete, 3, "complete", "Completes the last word of a filter; what may follow stands beside it.", [(INPUT, "tab")];
        Leave, 2, "leave", "Leaves it as it was.", [(INPUT, "esc")];
        Close, 9, "close", "Closes it.", [(LIST, "esc"), (JOBS, "esc q J"), (LOG, "esc q !"), (EXPLAIN, "esc q w enter"), (HISTORY, "esc q U"), (COLUMNS, "esc q ,"), (COPY, "esc q Y"), (EXPORT, "esc"), (REVIEW, "esc q V"), (FRONTIER, "esc q F"), (PROBES, "esc q Q"), (COMPARISON, "esc q v")];
        Dismiss, 0, "dismiss", "Drops the message or the cursor in the texts; in the spectrum, goes back to the layers; in the layers, drops the filter, then the selection.", [(PANES, "esc")];
        NextTheme, 0, "next theme", "Takes the next theme.", [(PANES, "ctrl-t")];
        ReleaseMouse, 0, "release mouse", "Gives the mouse to the terminal, so that text can be selected, or takes it back.", [(PANES, "ctrl-y")];
        Redraw, 0, "redraw", "Draws the whole screen anew.", [(PANES, "ctrl-l")];
        Suspend, 0, "suspend", "Goes back to the shell; fg returns.", [(PANES, "ctrl-z")];
        Quit, 0, "quit", "Leaves, after asking where something would be lost.", [(PANES, "q")];
        Interrupt, 0, "leave at once", "Leaves at once; the draft of plans and prompt is kept for the next start.", [(EVERYWHERE, "ctrl-c")];
    }
}

impl Action {
    /// All that is known about it.
    pub fn info(self) -> Option<&'static Info> {
        ACTIONS.iter().find(|info| info.action == self)
    }

    /// Its name in the configuration: `rank-up-more`.
    pub fn name(self) -> String {
        let mut name = String::new();
        for c in format!("{self:?}").chars() {
            if c.is_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.extend(c.to_lowercase());
        }
        name
    }

    /// The action of a name in the configuration.
    pub fn named(name: &str) -> Option<Self> {
        ACTIONS.iter().map(|info| info.action).find(|action| action.name() == name)
    }

    /// Whether it ends or overwrites something that no undo brings back.
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::CancelJob
                | Self::Write
                | Self::Yes
                | Self::Quit
                | Self::Interrupt
                | Self::Overwrite
                | Self::DropSnapshot
        )
    }

    /// Its short name.
    pub fn title(self) -> &'static str {
        self.info().map_or("", |info| info.title)
    }
}

/// All keys as a page of Markdown, a table for each place, as `docs/keys.md` has it.
pub fn keys_page() -> String {
    let keymap = Keymap::default();
    let mut page = String::from(
        "# Keys\n\nEvery action of the workbench by the place where it counts. `?` shows those of the place where you are, `:` finds any of\n\
         them by name. `rankscope --print-config` prints a configuration file in which each can be given other keys. This page is\n\
         made of the program's own list.\n",
    );
    for context in Context::ALL {
        let _ = write!(page, "\n## {}\n", context.title());
        let mut topic = None;
        for info in keymap.in_context(context) {
            if topic.replace(info.topic) != Some(info.topic) {
                let title = info.topic.title();
                let _ = write!(page, "\n### {title}\n\n| keys | action | what it does |\n|---|---|---|\n");
            }
            let keys: Vec<String> = keymap.keys(info.action, context).iter().map(|key| format!("`{key}`")).collect();
            let keys = keys.join(" ").replace('|', "\\|");
            let _ = writeln!(page, "| {keys} | {} | {} |", info.title, info.description);
        }
    }
    page
}

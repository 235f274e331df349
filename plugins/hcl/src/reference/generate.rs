//! Makes texts: good ones, nearly good ones and heaps of tokens. The same seed gives the same
//! texts.

/// SplitMix64, so that the texts do not change with a library.
pub(crate) struct Generator(u64);

const WORDS: [&str; 12] =
    ["a", "b", "key", "plugin_data", "NodeAttestor", "x-y", "p.q", "_z9", "A", "trueish", "null", "clusters"];

const STRINGS: [&str; 22] = [
    "\"\"",
    "\"v\"",
    "\"a b\"",
    "\"\\n\\t\\\\\"",
    "\"\\\"q\\\"\"",
    "\"\\u00e9\"",
    "\"\\x41\"",
    "\"\\101\"",
    "\"é\"",
    "\"$x\"",
    "\"{}\"",
    "\"a}b\"",
    "\"\\U0001f600\"",
    "\"\\a\\b\\f\\r\\v\"",
    "\"#no comment\"",
    "\"// no\"",
    "\"/* no */\"",
    "\"true\"",
    "\"\\u0024{x}\"",
    "\"$\"",
    "\"0\"",
    "\"\u{fffd}\"",
];

const HCL_STRINGS: [&str; 6] =
    ["\"${x}\"", "\"a${ f(\"q\") }b\"", "\"${ {x} }\"", "\"${\n}\"", "\"$${y}\"", "\"${\\\"}\""];

const NUMBERS: [&str; 10] =
    ["0", "1", "42", "-7", "1.5", "-0.25", "1e3", "2.5E-3", "9223372036854775807", "-0"];

const HCL_NUMBERS: [&str; 9] = ["0x1F", "-0xff", "017", ".5", "1.", "05.5", "0e1", "1.e2", "019.5"];

const SPACES: [&str; 8] = [" ", "\n", "\t", "  ", "\r\n", "\n\n", " # note\n", " /* note */ "];

const PIECES: [&str; 64] = [
    "{",
    "}",
    "{",
    "}",
    "[",
    "]",
    "=",
    ",",
    ":",
    "=",
    "\n",
    "\n",
    " ",
    "\"",
    "\\",
    "$",
    "${",
    "a",
    "<<E\nx\nE\n",
    "<<-E\n  x\n E\n",
    "b =",
    "\"k\"",
    "\"k\":",
    "\"v\"",
    "1",
    "0x",
    "0x1g",
    "08",
    "019",
    "1e",
    "1e+",
    "1.5e",
    ".5e3",
    ".",
    "-",
    "+",
    "-1",
    "true",
    "false",
    "null",
    "#",
    "//",
    "/*",
    "*/",
    "/",
    "<<EOF\n",
    "EOF\n",
    "  EOF\n",
    "<<-EOF\n",
    "<<",
    "<",
    "\r",
    "\r\n",
    "\0",
    "\u{e123}",
    "é",
    "\u{a0}",
    "\\u12",
    "\\ud800",
    "\\xff",
    "\\400",
    "\\q",
    "@",
    "99999999999999999999",
];

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    pub(crate) fn one<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[self.below(from.len())]
    }

    pub(crate) fn chance(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    /// Good HCL, unless rare pieces meet.
    pub(super) fn hcl(&mut self) -> String {
        let mut out = String::new();
        self.hcl_items(&mut out, 0);
        out
    }

    fn hcl_items(&mut self, out: &mut String, depth: usize) {
        for _ in 0..self.below(5) {
            self.hcl_key(out);
            if self.chance(3) && depth < 4 {
                while self.chance(3) {
                    out.push(' ');
                    self.hcl_key(out);
                }
                *out += " {";
                *out += self.one(&SPACES);
                self.hcl_items(out, depth + 1);
                *out += "}";
            } else {
                *out += self.one(&[" = ", "=", " =\n  "]);
                if !self.chance(25) {
                    self.hcl_value(out, depth);
                }
            }
            if self.chance(6) {
                *out += ",";
            }
            *out += self.one(&SPACES);
        }
    }

    fn hcl_key(&mut self, out: &mut String) {
        *out += if self.chance(3) { self.one(&STRINGS) } else { self.one(&WORDS) };
    }

    fn hcl_value(&mut self, out: &mut String, depth: usize) {
        match self.below(if depth < 4 { 9 } else { 6 }) {
            0 => *out += self.one(&HCL_STRINGS),
            1 | 2 => *out += self.one(&STRINGS),
            3 => *out += self.one(&NUMBERS),
            4 => *out += self.one(&HCL_NUMBERS),
            5 => {
                *out += self.one(&[
                    "true",
                    "false",
                    "<<EOF\n one\n  \"two\n\n EOF\n",
                    "<<-X\n  a\n   b\n  X\n",
                    "<<-Y_1\n\n a\n  Y_1\n",
                ])
            }
            6 | 7 => self.hcl_list(out, depth),
            _ => {
                *out += "{";
                *out += self.one(&SPACES);
                self.hcl_items(out, depth + 1);
                *out += "}";
            }
        }
    }

    fn hcl_list(&mut self, out: &mut String, depth: usize) {
        *out += "[";
        for _ in 0..self.below(4) {
            self.hcl_value(out, depth + 1);
            *out += self.one(&[",", ", ", ",\n", ", # note\n", ",,"]);
        }
        *out += "]";
    }

    /// Good JSON of the kind that SPIRE reads.
    pub(super) fn json(&mut self) -> String {
        let mut out = String::from(self.one(&["", " ", "\n"]));
        self.json_object(&mut out, 0, false);
        out
    }

    /// JSON for a plugin_data: nothing but what SPIRE's printing keeps apart, so without `${`.
    pub(super) fn plugin_data(&mut self) -> String {
        let mut out = String::new();
        self.json_object(&mut out, 0, true);
        out
    }

    fn json_object(&mut self, out: &mut String, depth: usize, distinct: bool) {
        *out += "{";
        let count = self.below(5);
        for index in 0..count {
            if index > 0 {
                *out += self.one(&[",", ", ", ",\n"]);
            }
            let key = if distinct {
                format!("\"{}{index}\"", self.one(&WORDS))
            } else {
                self.one(&STRINGS).to_owned()
            };
            *out += &key;
            *out += self.one(&[":", ": ", " :\n"]);
            self.json_value(out, depth, distinct);
        }
        if count > 0 && self.chance(20) && !distinct {
            *out += ",";
        }
        *out += "}";
    }

    fn json_value(&mut self, out: &mut String, depth: usize, distinct: bool) {
        match self.below(if depth < 4 { 8 } else { 5 }) {
            0 | 1 => *out += self.one(&STRINGS),
            2 => *out += self.one(&NUMBERS),
            3 => *out += self.one(&["true", "false"]),
            4 => *out += self.one(&["null", "\"v\""]),
            5 => {
                *out += "[";
                for index in 0..self.below(4) {
                    *out += if index > 0 { "," } else { "" };
                    match self.below(3) {
                        0 => *out += self.one(&STRINGS),
                        1 => *out += self.one(&NUMBERS),
                        _ => self.json_object(out, depth + 1, distinct),
                    }
                }
                *out += "]";
            }
            _ => self.json_object(out, depth + 1, distinct),
        }
    }

    /// Pieces of both languages without sense.
    pub(super) fn tokens(&mut self) -> String {
        let count = 1 + self.below(14);
        let mut out = String::from(self.one(&["", "", "{", "a = ", "a {"]));
        for _ in 0..count {
            out += self.one(&PIECES);
            if self.chance(2) {
                out += self.one(&[" ", "\n"]);
            }
        }
        out
    }

    /// One of these texts with one to three small changes.
    pub(super) fn mutated(&mut self, texts: &[&str]) -> String {
        let mut characters: Vec<char> = self.one(texts).chars().collect();
        for _ in 0..=self.below(3) {
            let at = self.below(characters.len() + 1);
            let piece: Vec<char> = self.one(&PIECES).chars().collect();
            let upto = (at + self.below(4)).min(characters.len());
            match self.below(4) {
                0 => drop(characters.splice(at..at, piece)),
                1 => drop(characters.splice(at..upto, piece)),
                2 => drop(characters.splice(at..upto, [])),
                _ if self.chance(4) => characters.truncate(at),
                _ => {}
            }
        }
        characters.into_iter().collect()
    }

    pub(super) fn duration(&mut self) -> String {
        let mut out = String::from(self.one(&["", "", "", "", "+", "-", " "]));
        for _ in 0..self.below(4) {
            out += self.one(&[
                "0",
                "1",
                "30",
                "1.5",
                ".25",
                "1.",
                "0.000000001",
                "9223372036",
                "0.333333333333",
                "",
                ".",
            ]);
            out += self.one(&["s", "m", "h", "ms", "us", "µs", "μs", "ns", "s", "m", "d", ""]);
        }
        out
    }
}

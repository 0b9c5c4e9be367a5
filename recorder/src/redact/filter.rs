//! The cheap question before the rules: can there be a secret here at all? Most command lines end at this.
//!
//! Every built-in rule needs one of the fragments below, in any case, so an argument without them is left alone. They
//! are looked for all at once: bit `n` of the state says that the fragment letter `n` was just reached (shift-and).

/// Fragments; `[ab]` is one letter of several. All letters of a group fit into 64 bits.
const FRAGMENTS: [&[&str]; 2] = [
    &[
        "pass",
        "secr",
        "toke",
        "key",
        "auth",
        "@",
        "gh[pousr]_",
        "pat[_-]",
        "a[ksbc][ic]a",
        "eyj",
        "xox",
        "-beg",
        "psk",
        "k_[lt]",
        "aiza",
        "npm_",
        "ypi-",
        "sk-",
    ],
    &[
        "mysq", "mari", "curl", "ldap", "mong", "is-c", "smb", "snmp", "ipmi", "sqlc", "7z", "zip", "logi",
        "hvs.", "cook", "nssl", "pwd",
    ],
];

/// The compiled fragments.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    /// For each byte the fragment letters that it can be.
    letters: Box<[[u64; 2]; 256]>,
    first: [u64; 2],
    last: [u64; 2],
}

impl Filter {
    pub(super) fn new() -> Self {
        let mut filter = Self { letters: Box::new([[0; 2]; 256]), first: [0; 2], last: [0; 2] };
        for (group, fragments) in FRAGMENTS.iter().enumerate() {
            let mut bit = 0;
            for fragment in *fragments {
                filter.put(group, fragment, &mut bit);
            }
            debug_assert!(bit <= 64, "group {group} has {bit} letters");
        }
        filter
    }

    /// Adds a fragment, its first letter at `bit`.
    fn put(&mut self, group: usize, fragment: &str, bit: &mut u32) {
        let mask = |bit: u32| 1u64.checked_shl(bit).unwrap_or(0);
        let set = |of: &mut [u64; 2], bit: u32| {
            if let Some(word) = of.get_mut(group) {
                *word |= mask(bit);
            }
        };
        set(&mut self.first, *bit);
        let mut is_class = false;
        for byte in fragment.bytes() {
            match byte {
                b'[' => is_class = true,
                b']' => {
                    is_class = false;
                    *bit += 1;
                }
                _ => {
                    for byte in [byte.to_ascii_lowercase(), byte.to_ascii_uppercase()] {
                        if let Some(letters) = self.letters.get_mut(usize::from(byte)) {
                            set(letters, *bit);
                        }
                    }
                    *bit += u32::from(!is_class);
                }
            }
        }
        set(&mut self.last, bit.saturating_sub(1));
    }

    /// Whether one of the fragments is in `bytes`.
    pub(super) fn trips(&self, bytes: &[u8]) -> bool {
        let ([first_a, first_b], [last_a, last_b]) = (self.first, self.last);
        let (mut a, mut b, mut seen) = (0u64, 0u64, 0u64);
        for &byte in bytes {
            let [letter_a, letter_b] = self.letters.get(usize::from(byte)).copied().unwrap_or_default();
            a = (a << 1 | first_a) & letter_a;
            b = (b << 1 | first_b) & letter_b;
            seen |= (a & last_a) | (b & last_b);
        }
        seen != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fragment_fits_and_trips_in_both_cases() {
        let filter = Filter::new();
        for fragments in FRAGMENTS {
            let letters = |fragment: &&str| {
                let classes = fragment.matches('[').count();
                fragment.len()
                    - fragment.split('[').skip(1).map(|rest| rest.find(']').unwrap() + 2).sum::<usize>()
                    + classes
            };
            assert!(fragments.iter().map(letters).sum::<usize>() <= 64);
            for fragment in fragments {
                let mut plain = fragment.to_string();
                while let (Some(open), Some(close)) = (plain.find('['), plain.find(']')) {
                    let last = plain[..close].chars().next_back().unwrap();
                    plain.replace_range(open..=close, &last.to_string());
                }
                for text in [plain.clone(), plain.to_uppercase(), format!("x{plain}"), format!("{plain}x")] {
                    assert!(filter.trips(text.as_bytes()), "{text:?} of {fragment:?}");
                }
                assert!(plain.len() == 1 || !filter.trips(&plain.as_bytes()[1..]), "{plain:?}");
            }
        }
    }

    #[test]
    fn ordinary_arguments_do_not_trip() {
        let filter = Filter::new();
        for text in ["rustc", "--crate-name", "src/lib.rs", "-lah", "/usr/bin/env", "", "s/a/b/", "paß", "-p"]
        {
            assert!(!filter.trips(text.as_bytes()), "{text:?}");
        }
    }
}

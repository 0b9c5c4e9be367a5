//! Standard base64 with padding, strict: one text for each byte string, as C2SP key and note lines need it.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Encodes `bytes`.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut value = 0u32;
        for index in 0..3 {
            value = value << 8 | u32::from(group.get(index).copied().unwrap_or(0));
        }
        for index in 0..4 {
            let digit = (value >> (18 - 6 * index)) & 63;
            let known = index <= group.len();
            let letter = ALPHABET.get(digit as usize).copied().unwrap_or(b'=');
            text.push(char::from(if known { letter } else { b'=' }));
        }
    }
    text
}

/// Decodes `text`; `None` for anything that [`encode`] would not have written.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in text.as_bytes().chunks(4) {
        let digits = group.iter().take_while(|letter| **letter != b'=').count();
        let mut value = 0u32;
        for letter in group.iter().take(digits) {
            let digit = ALPHABET.iter().position(|known| known == letter)?;
            value = value << 6 | u32::try_from(digit).ok()?;
        }
        value <<= 6 * u32::try_from(4 - digits).ok()?;
        let [_, first, second, third] = value.to_be_bytes();
        bytes.extend([first, second, third].into_iter().take(digits.checked_sub(1)?));
    }
    // Also refuses wrong lengths, wrong padding and stray bits in the last digit.
    (encode(&bytes) == text).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn agrees_with_the_vectors_of_rfc_4648() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(plain.as_bytes()), coded);
            assert_eq!(decode(coded).as_deref(), Some(plain.as_bytes()));
        }
    }

    #[test]
    fn refuses_what_it_would_not_write() {
        for bad in ["Zg", "Zg=", "Zh==", "Z===", "Zg==Zg==", "Zm9v\n", "Zm9-", "===="] {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
    }
}

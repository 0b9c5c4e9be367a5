//! Payload of the frame that ends a segment: a checkpoint and an index, in a skippable frame that zstd steps over.

use super::{FormatError, MAX_SEAL, PREFIX, SEAL_MAGIC, SEAL_SKIPPABLE, VERSION, put_prefix};

/// Bytes in front of the checkpoint.
const FRONT: usize = PREFIX + 16;

/// What a seal holds. What is in the two parts is not checked here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal<'a> {
    /// A signed note over the tree of all frames in front of the seal.
    pub checkpoint: &'a [u8],
    /// Index of the segment.
    pub index: &'a [u8],
}

impl<'a> Seal<'a> {
    /// Bytes in front of the index, for a checkpoint of that length.
    #[must_use]
    pub const fn index_offset(checkpoint_len: usize) -> usize {
        FRONT + checkpoint_len
    }

    /// Replaces `out` by the payload.
    ///
    /// # Errors
    /// When the parts are longer than a seal may be.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), FormatError> {
        let length = FRONT + self.checkpoint.len() + self.index.len();
        if length > MAX_SEAL as usize {
            return Err(FormatError::Limit("the length of the seal"));
        }
        out.clear();
        out.reserve(length);
        put_prefix(out, SEAL_SKIPPABLE, length);
        out.extend(SEAL_MAGIC);
        out.extend([VERSION, 0, 0, 0]);
        for part in [self.checkpoint, self.index] {
            // Both are within MAX_SEAL.
            out.extend((part.len() as u32).to_le_bytes());
        }
        out.extend_from_slice(self.checkpoint);
        out.extend_from_slice(self.index);
        Ok(())
    }

    /// Takes a payload apart.
    ///
    /// # Errors
    /// When it is anything else, or has a byte too many.
    pub fn decode(payload: &'a [u8]) -> Result<Self, FormatError> {
        let (checkpoint_len, index_len) = Self::lengths(payload)?;
        let (_, parts) = payload.split_at_checked(FRONT).ok_or(FormatError::SealShape)?;
        let (checkpoint, index) = parts.split_at_checked(checkpoint_len).ok_or(FormatError::SealShape)?;
        if index.len() != index_len {
            return Err(FormatError::SealShape);
        }
        Ok(Self { checkpoint, index })
    }

    /// Lengths of checkpoint and index, from the first bytes of a payload.
    ///
    /// # Errors
    /// When they are not those of a seal, or do not add up to the length that the skippable frame states.
    pub fn lengths(front: &[u8]) -> Result<(usize, usize), FormatError> {
        let number = |at: usize| {
            let bytes = front.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            bytes.map(u32::from_le_bytes).ok_or(FormatError::SealShape)
        };
        let magic = number(0)? == SEAL_SKIPPABLE
            && front.get(PREFIX..PREFIX + 4) == Some(&SEAL_MAGIC)
            && front.get(PREFIX + 4..PREFIX + 8) == Some(&[VERSION, 0, 0, 0]);
        let (checkpoint, index) = (number(PREFIX + 8)?, number(PREFIX + 12)?);
        let stated = u64::from(number(4)?) + PREFIX as u64;
        let whole = FRONT as u64 + u64::from(checkpoint) + u64::from(index);
        if magic && stated == whole && whole <= u64::from(MAX_SEAL) {
            return Ok((checkpoint as usize, index as usize));
        }
        Err(FormatError::SealShape)
    }
}

#[cfg(test)]
mod tests {
    use super::Seal;
    use crate::store::format::{FormatError, MAX_SEAL};

    #[test]
    fn gives_back_its_parts_and_nothing_else() {
        let seal = Seal { checkpoint: b"note", index: b"index" };
        let mut payload = Vec::new();
        seal.encode(&mut payload).unwrap();
        assert_eq!(Seal::decode(&payload), Ok(seal));
        assert_eq!(&payload[Seal::index_offset(4)..], b"index");
        // zstd steps over it.
        assert_eq!(zstd::decode_all(payload.as_slice()).unwrap(), b"");
        for change in 0..24 {
            let mut bad = payload.clone();
            bad[change] ^= 1;
            assert_eq!(Seal::decode(&bad), Err(FormatError::SealShape), "byte {change}");
        }
        for bad in [&payload[..payload.len() - 1], &[payload.as_slice(), b"x"].concat(), b""] {
            assert_eq!(Seal::decode(bad), Err(FormatError::SealShape));
        }
    }

    #[test]
    fn refuses_to_grow_beyond_its_limit() {
        let index = vec![0; MAX_SEAL as usize];
        let seal = Seal { checkpoint: b"", index: &index };
        assert_eq!(seal.encode(&mut Vec::new()), Err(FormatError::Limit("the length of the seal")));
    }
}

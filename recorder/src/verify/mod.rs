//! Re-derives everything the store claims and names what does not hold.

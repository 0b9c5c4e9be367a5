//! Tamper evidence: pure functions from bytes to hashes, trees and signatures; no clock, no file.

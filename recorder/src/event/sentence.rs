//! One line of plain English for an event.

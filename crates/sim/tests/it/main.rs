//! Everything goes wrong, and nothing breaks.

mod evidence;
mod histories;
mod sabotage;

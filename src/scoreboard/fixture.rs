//! What the in-file tests of the scoreboard share: a board as its worker has it, and its master's sight of
//! the same page.

use std::os::fd::AsFd;

use super::{Board, BoardView};

pub(super) fn board() -> (Board, BoardView) {
    let fd = Board::create_fd("test").expect("a memfd");
    let view = BoardView::open(fd.as_fd()).expect("a board");
    (Board::open(fd).expect("a board"), view)
}

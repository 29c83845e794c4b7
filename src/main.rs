//! The program `safire`: see `safire --help`.

use clap::Parser;
use mimalloc::MiMalloc;
use safire::cli::Cli;

/// A request makes and frees dozens of small things on whichever thread it is: here that costs half.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> std::process::ExitCode {
    Cli::parse().run()
}

//! Runs hostile cases of the host's fuzzing and prints their digest, for comparison with the host's: QEMU's `-append 'model 7 0 40'` asks for
//! the first 40 of the subject `model` with seed 7. `tests/fuzz/run` does that.
#![no_std]
#![no_main]

use firmware_example::exit;
use semihosting::{experimental::env::args, println};
use vae_cases::{Digest, SUBJECTS, Seeds, Subject};

/// Cases build models, records and streams of any size, which a program with one model does not: this program alone has a heap.
#[global_allocator]
static HEAP: emballoc::Allocator<{ 8 << 20 }> = emballoc::Allocator::new();

/// Of an image's path and a request.
const LONGEST: usize = 1024;

#[cortex_m_rt::entry]
fn main() -> ! {
    let failed = run().is_none();
    if failed {
        println!("give SUBJECT SEED FIRST COUNT");
    }
    exit(failed)
}

fn run() -> Option<()> {
    let arguments = args::<LONGEST>().ok()?;
    let mut words = heapless::Deque::<&str, 4>::new();
    for word in (&arguments).filter_map(Result::ok) {
        if words.is_full() {
            words.pop_front();
        }
        words.push_back(word).ok()?;
    }
    let name = words.pop_front()?;
    let (_, subject) = SUBJECTS.iter().find(|(subject, _)| *subject == name)?;
    let [seed, first, count] = [(); 3].map(|()| words.pop_front().and_then(|word| word.parse::<u32>().ok()));
    let (seed, first) = (seed?, first?);
    let seeds = if *subject == Subject::Snapshot { Seeds::default() } else { Seeds::without_snapshots() };
    let mut digest = Digest::default();
    for number in first..first.checked_add(count?)? {
        subject.run(&seeds, &subject.generate(&seeds, seed, number), &mut digest);
    }
    println!("{:016x}", digest.value());
    Some(())
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    firmware_example::panic(info)
}

//! Numbers nobody foresees.

/// A random number.
pub fn number() -> u64 {
    let mut octets = [0; 8];
    getrandom::fill(&mut octets).expect("the operating system has random octets once it has booted");
    u64::from_ne_bytes(octets)
}

/// A random number below `bound`, which is not 0. Small bounds are not biased enough to matter.
pub fn below(bound: usize) -> usize {
    usize::try_from(number() % bound as u64).expect("it is below a usize")
}

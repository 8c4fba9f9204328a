//! What the benchmarks share: nothing but fixed messages.

//! Parallel text: reading, subword tokenisation, batches, and the built-in corpus.

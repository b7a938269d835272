//! The text of the kernels, and what a launch must know of them.
//!
//! The `.cu` files are one program. NVRTC compiles it for a card, and a C++ compiler for the emulator. Sizes that both
//! sides must agree on are written down here once, and reach the kernels as macros.
//!
//! Every kernel but the `_any` ones runs in blocks of [`BLOCK`] threads. The third column says how many blocks there
//! must be: *any* means that every number gives the same result (entries are taken in turns; one block for each 1024
//! entries, and at most 1024 or so, is a good number). `rows` by warps is `⌈rows / 8⌉` blocks; by columns, `⌈n / 32⌉`.
//! Pointers may be aligned to 4 bytes only, but for those of `attention_32`, `_64` and `_128` and their gradients, which
//! are aligned to 16. Types in the table: `*` pointer, `u64` and `u32` unsigned, plain names `int` or, where that makes no
//! sense, `float`; structs are those of [`arguments`]. Launches of no blocks are left out by the caller.
//!
//! | kernel | arguments | blocks | |
//! |---|---|---|---|
//! | `fill` | *y, u64 count, value | any | |
//! | `add_assign` | *y, *x, u64 count | any | `y += x` |
//! | `scale` | *x, factor, *y, u64 count, keep | any | `y (+)= factor·x` |
//! | `scale_by` | *x, *factor, float k, *y, u64 count, keep | any | `y (+)= k·factor[0]·x` |
//! | `spread` | *value, float k, *y, u64 count, keep | any | `y (+)= k·value[0]` |
//! | `fill_rows` | *row, *y, rows, n | any | |
//! | `mask_fill` | *x, *flags (bytes), value, *y, u64 count | any | |
//! | `mask_fill_backward` | *dy, *flags, *dx, u64 count, keep | any | |
//! | `activation` | kind, *x, *y, u64 count | any | kind 0 ReLU, 1 GELU, 2 SiLU |
//! | `activation_backward` | kind, *x, *dy, *dx, u64 count, keep | any | |
//! | `bias_activation` | *bias, kind, *y, rows, n | any | in place; kind −1 is none |
//! | `binary` | op, *a, *b, *y, `Broadcast` | any | op 0 adds, 1 subtracts, 2 multiplies |
//! | `reduce_broadcast` | *dy, *factor or 0, float k, *dx, `Reduce`, keep | any | for sums over rows, take `sum_rows_…` |
//! | `strided_copy` | *x, *y, `Strided`, keep | any | |
//! | `sum_partial` | *x, *scratch, u64 count | any, B | scratch: B floats |
//! | `sum_finish` | *scratch, float k, *y, B | 1 | `y[0] = k·Σ` |
//! | `sum_rows_partial` | *x, *scratch, rows, n, chunk | columns × C | C = `⌈rows / chunk⌉`, scratch: C·n floats; a chunk of 256 or so |
//! | `sum_rows_finish` | *scratch, *y, C, n, keep | columns | |
//! | `dropout` | *x, *y, u64 count, `Dropout` | any | |
//! | `dropout_backward` | *dy, *dx, u64 count, `Dropout`, keep | any | |
//! | `residual` | *x, *a, *y, u64 count, `Dropout` | any | `y = x + dropout(a)` |
//! | `layer_norm` | *x, *gamma, *beta, *y, *mean, *rstd, rows, n, eps | rows by warps | |
//! | `residual_layer_norm` | *x, *a, *gamma, *beta, *h, *y, *mean, *rstd, rows, n, eps, `Dropout` | rows by warps | `h = x + dropout(a)` |
//! | `layer_norm_backward` | *x, *gamma, *mean, *rstd, *dy, *dx, rows, n, keep | rows by warps | |
//! | `residual_layer_norm_backward` | *h, *gamma, *mean, *rstd, *dy, *dh or 0, *dx or 0, *da or 0, rows, n, keep_x, keep_a, `Dropout` | rows by warps | `dh` is what reaches `h` from elsewhere; `dx` may be the same |
//! | `layer_norm_parameters_partial` | *x, *mean, *rstd, *dy, *scratch, rows, n, chunk | columns × C | C = `⌈rows / chunk⌉`, scratch: C·2·n floats |
//! | `layer_norm_parameters_finish` | *scratch, *dgamma or 0, *dbeta or 0, C, n, keep_gamma, keep_beta | columns | |
//! | `softmax` | *x, *y, rows, n, *flags or 0 | rows by warps | |
//! | `softmax_backward` | *y, *dy, *dx, rows, n, keep | rows by warps | |
//! | `cross_entropy` | *logits, *labels, u32 ignore, smoothing, *losses, *lse, rows, n | rows | a label that is no class costs NaN |
//! | `cross_entropy_backward` | *logits, *labels, u32 ignore, smoothing, *lse, *dy, float k, *dx, rows, n, keep | rows | |
//! | `cross_entropy_in_place` | *logits, *labels, u32 ignore, smoothing, float k, *losses, rows, n | rows | |
//! | `embedding` | *table, *ids, *y, count, n | count by warps | |
//! | `embedding_backward` | *dy, *segment_row, *segment_start, *order, *dtable, segments, n | segments by warps | adds |
//! | `squares_partial` | `TensorList`, *scratch, offset | B × count | scratch: count·B **doubles** from `offset` on |
//! | `squares_finish` | *scratch, n, *norm | 1 | n = all partial sums |
//! | `adam` | `AdamList`, *`AdamStep`, *norm or 0, clip | any × count | changes nothing where the norm is not finite |
//! | `attention_D` | *q, *k, *v, *o, *lse, *query_start, *key_start, *weight_start or 0, *kept or 0, `Attention` | `⌈queries / 64⌉` × H × sentences | D is 32, 64 or 128; shared memory: [`attention_shared`] |
//! | `attention_any` | the same | rows of queries × H | 32 threads; heads of at most [`ANY_SIZE`] columns |
//! | `attention_any_wide` | the same | the same | 32 threads; heads of any size |
//! | `attention_backward_D` | *q, *k, *v, *o, *dy, *lse, *dq or 0, *dk or 0, *dv or 0, *query_start, *key_start, *weight_start or 0, *kept or 0, `Attention`, keep_q, keep_k, keep_v | H × sentences | shared memory: [`attention_backward_shared`] |
//! | `attention_backward_any` | the same | max(rows of queries, rows of keys) × H | 32 threads; heads of at most [`ANY_SIZE`] columns |
//! | `attention_backward_any_wide` | the same | the same | 32 threads; heads of any size |
//! | `attention_step` | *q, *o, *table, queries, positions, H, width, scale | queries × H | at most [`STEP_POSITIONS`] positions; shared memory: a float for each; the table is described in the file |
//! | `attention_step_long` | the same | the same | shared memory: [`STEP_POSITIONS`] floats |
//!
//! `queries` are those of the longest sentence. `query_start` and `key_start` are `u32[sentences + 1]`,
//! `weight_start` is `u64[sentences]`, wanted for dropout alone: `Σ queries · keys` over the sentences before. `kept` is
//! `u32`, one for each query row.

pub(crate) mod arguments;

use std::fmt::Write;

/// Threads of a block of nearly every kernel.
pub(crate) const BLOCK: u32 = 256;

/// Rows that a block takes where each of its warps takes one.
pub(crate) const ROWS: u32 = BLOCK / 32;

/// Columns that a block takes where it sums columns.
pub(crate) const COLUMNS: u32 = 32;

/// Queries, or keys, of a tile of attention.
pub(crate) const TILE: u32 = 64;

/// Axes that a tensor may have.
pub(crate) const RANK: usize = 6;

/// Tensors of one launch of `squares_partial`.
pub(crate) const TENSORS: usize = 64;

/// Parameters of one launch of `adam`.
pub(crate) const ADAM_TENSORS: usize = 48;

/// Threads of a block of the `_any` kernels.
pub(crate) const ANY_BLOCK: u32 = 32;

/// The most columns of a head that `attention_any` and `attention_backward_any` know.
pub(crate) const ANY_SIZE: usize = 256;

/// Positions that `attention_step` weighs at a time: 32 KiB of shared memory, which every card gives a block.
pub(crate) const STEP_POSITIONS: u32 = 8192;

/// Blocks of a grid along x, and along y and z: as many on every card since compute capability 3.0.
pub(crate) const MOST_BLOCKS: [u32; 2] = [i32::MAX as u32, 65_535];

/// Bytes of arguments that a kernel can be given: as many on every card, with every version of CUDA.
pub(crate) const MOST_ARGUMENTS: usize = 4096;

/// Bytes of shared memory that `attention_D` asks for.
pub(crate) const fn attention_shared(d: u32) -> u32 {
    4 * (2 * TILE * (d + 4) + TILE * (TILE + 4) + TILE)
}

/// Bytes of shared memory that `attention_backward_D` asks for.
pub(crate) const fn attention_backward_shared(d: u32) -> u32 {
    4 * (4 * TILE * (d + 4) + TILE * (TILE + 4) + 3 * TILE)
}

/// Threads of the blocks that a kernel is written for.
pub(crate) fn threads(kernel: &str) -> u32 {
    if kernel.contains("_any") { ANY_BLOCK } else { BLOCK }
}

/// Bytes of shared memory that a kernel declares itself, beside what its launch asks for.
pub(crate) fn declared(kernel: &str) -> u32 {
    let floats = match kernel {
        "sum_partial" | "attention_step" | "attention_step_long" => ROWS,
        "sum_finish" | "squares_partial" | "squares_finish" | "cross_entropy" | "cross_entropy_in_place" => {
            2 * ROWS
        }
        "sum_rows_partial"
        | "sum_rows_finish"
        | "layer_norm_parameters_partial"
        | "layer_norm_parameters_finish" => BLOCK,
        "attention_any" | "attention_any_wide" => ANY_BLOCK,
        "attention_backward_any" | "attention_backward_any_wide" => 2 * ANY_BLOCK,
        _ => 0,
    };
    4 * floats
}

macro_rules! files {
    ($($name:literal)*) => { &[$(($name, include_str!($name))),*] };
}

/// The files of the program, in order.
pub(crate) const SOURCE: &[(&str, &str)] = files! {
    "common.cuh" "structs.cuh" "elementwise.cu" "activation.cu" "broadcast.cu" "sums.cu" "dropout.cu" "norm.cu" "softmax.cu"
    "cross_entropy.cu" "embedding.cu" "optim.cu" "tiles.cuh" "attention.cu" "attention_backward.cu" "attention_any.cu"
    "attention_step.cu"
};

/// The names of all kernels.
pub(crate) const KERNELS: &[&str] = &[
    "fill",
    "add_assign",
    "scale",
    "scale_by",
    "spread",
    "fill_rows",
    "mask_fill",
    "mask_fill_backward",
    "activation",
    "activation_backward",
    "bias_activation",
    "binary",
    "reduce_broadcast",
    "strided_copy",
    "sum_partial",
    "sum_finish",
    "sum_rows_partial",
    "sum_rows_finish",
    "dropout",
    "dropout_backward",
    "residual",
    "layer_norm",
    "residual_layer_norm",
    "layer_norm_backward",
    "residual_layer_norm_backward",
    "layer_norm_parameters_partial",
    "layer_norm_parameters_finish",
    "softmax",
    "softmax_backward",
    "cross_entropy",
    "cross_entropy_backward",
    "cross_entropy_in_place",
    "embedding",
    "embedding_backward",
    "squares_partial",
    "squares_finish",
    "adam",
    "attention_32",
    "attention_64",
    "attention_128",
    "attention_any",
    "attention_any_wide",
    "attention_backward_32",
    "attention_backward_64",
    "attention_backward_128",
    "attention_backward_any",
    "attention_backward_any_wide",
    "attention_step",
    "attention_step_long",
];

/// The whole program. What a compiler says of it names the file and the line.
pub(crate) fn program() -> String {
    let mut text = format!(
        "#define BLOCK {BLOCK}\n#define COLUMNS {COLUMNS}\n#define TILE {TILE}\n#define RANK {RANK}\n\
         #define TENSORS {TENSORS}\n#define ADAM_TENSORS {ADAM_TENSORS}\n\
         #define STEP_POSITIONS {STEP_POSITIONS}\n"
    );
    for (name, file) in SOURCE {
        let _ = writeln!(text, "#line 1 \"{name}\"\n{file}");
    }
    text + "#line 1 \"arguments.rs\"\n" + &arguments::assertions()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of the kernels that a line defines: itself, or by the macro that the line before it belongs to.
    fn kernels_of(line: &str) -> Vec<String> {
        let first =
            |prefix: &str| Some(line.trim_start().strip_prefix(prefix)?.split([',', ')']).next()?.to_owned());
        let by_macro =
            ["ATTENTION_ANY(", "ATTENTION_BACKWARD_ANY(", "ATTENTION_STEP("].into_iter().find_map(first);
        match (first("KERNEL("), by_macro) {
            (Some(name), _) if name == "NAME" => Vec::new(),
            (Some(name), _) => match name.strip_suffix("##D") {
                Some(stem) => ["32", "64", "128"].map(|d| format!("{stem}{d}")).to_vec(),
                None => vec![name],
            },
            (None, name) => name.into_iter().collect(),
        }
    }

    #[test]
    fn every_kernel_is_in_the_list() {
        let lines = SOURCE.iter().flat_map(|(_, text)| text.lines());
        let mut found: Vec<_> = lines.flat_map(kernels_of).collect();
        let mut listed = KERNELS.to_vec();
        found.sort_unstable();
        listed.sort_unstable();
        assert_eq!(found, listed);
    }

    /// What stands in brackets behind a name, as bytes of this type.
    fn bytes_of(declaration: &str, of: &str) -> u32 {
        let number = |text: &str| match text {
            "WARPS" | "GROUPS" => BLOCK / 32,
            "COLUMNS" => COLUMNS,
            number => number.parse().unwrap(),
        };
        let sizes = declaration.split('[').skip(1).map(|rest| number(rest.split(']').next().unwrap()));
        sizes.product::<u32>() * if of == "double" { 8 } else { 4 }
    }

    #[test]
    fn what_kernels_declare_is_listed() {
        let mut found: std::collections::BTreeMap<String, u32> =
            KERNELS.iter().map(|name| (name.to_string(), 0)).collect();
        // `row_sums` is no kernel, and declares for those that call it; a macro declares for those that it makes.
        let (mut of_row_sums, mut of_macro) = (0, 0);
        for (_, text) in SOURCE {
            let mut function = String::new();
            for line in text.lines() {
                let kernels = kernels_of(line);
                if line.starts_with("#define") {
                    of_macro = 0;
                } else if line.starts_with("ATTENTION") {
                    kernels.iter().for_each(|name| *found.get_mut(name).unwrap() += of_macro);
                } else if line.trim_start().starts_with("KERNEL(") {
                    function = kernels.first().cloned().unwrap_or_else(|| "macro".to_owned());
                } else if line.starts_with("INLINE") {
                    function = if line.contains(" row_sums(") { "row_sums" } else { line }.to_owned();
                }
                if line.contains(" = row_sums(") {
                    *found.get_mut(&function).unwrap() += of_row_sums;
                }
                let Some(declared) = line.trim_start().strip_prefix("__shared__ ") else { continue };
                // Every declaration is of one of two types, on one line.
                let (of, names) = declared.split_once(' ').unwrap();
                let names = names.split(';').next().unwrap();
                let bytes: u32 = names.split(", ").map(|name| bytes_of(name, of)).sum();
                match function.as_str() {
                    "row_sums" => of_row_sums += bytes,
                    "macro" => of_macro += bytes,
                    name => *found.get_mut(name).unwrap_or_else(|| panic!("{name} is no kernel")) += bytes,
                }
            }
        }
        let listed = KERNELS.iter().map(|name| (name.to_string(), declared(name))).collect();
        assert_eq!(found, listed);
        assert!(found.values().sum::<u32>() > 4096, "declarations were found");
    }

    #[test]
    fn every_file_is_in_the_program() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kernels/cuda/source");
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(name.ends_with(".rs") || SOURCE.iter().any(|(listed, _)| *listed == name), "{name}");
        }
    }
}

//! The structs that kernels take by value, as Rust knows them. `structs.cuh` declares them for the kernels; the program
//! asserts that both lie in memory alike.

use std::fmt::Write;
use std::mem::{offset_of, size_of};

use super::{ADAM_TENSORS, MOST_ARGUMENTS, RANK, TENSORS};
use crate::kernels::cuda::driver::Address;

/// What a field may be.
trait Field {
    /// Writes the value's bytes, as the device reads them.
    fn put(&self, to: &mut [u8]);
}

macro_rules! number {
    ($($type:ty)*) => {$(
        impl Field for $type {
            fn put(&self, to: &mut [u8]) {
                to[..size_of::<Self>()].copy_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}

number!(i32 u32 i64 u64 f32);

impl<F: Field, const N: usize> Field for [F; N] {
    fn put(&self, to: &mut [u8]) {
        for (i, entry) in self.iter().enumerate() {
            entry.put(&mut to[i * size_of::<F>()..]);
        }
    }
}

macro_rules! structs {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[repr(C)]
            #[derive(Clone, Copy, Debug)]
            pub(crate) struct $name {
                $($(#[$field_doc])* pub(crate) $field: $type,)*
            }

            // The addresses and numbers beside a struct are not a quarter of a kibibyte.
            const _: () = assert!(size_of::<$name>() + 256 <= MOST_ARGUMENTS);

            impl $name {
                /// The struct as a launch passes it, padding zeroed.
                pub(crate) fn bytes(&self) -> [u8; size_of::<$name>()] {
                    let mut bytes = [0; size_of::<$name>()];
                    $(self.$field.put(&mut bytes[offset_of!($name, $field)..]);)*
                    bytes
                }
            }

            impl Field for $name {
                fn put(&self, to: &mut [u8]) {
                    to[..size_of::<$name>()].copy_from_slice(&self.bytes());
                }
            }
        )*

        /// Assertions that the C++ structs have these sizes, and their fields these places; NVRTC knows no `offsetof`, so
        /// the places are asserted in the emulator, where structs are laid out alike.
        pub(super) fn assertions() -> String {
            let (mut sizes, mut places) = (String::new(), String::new());
            $(
                let _ = writeln!(
                    sizes, "static_assert(sizeof({0}) == {1}, \"{0}\");", stringify!($name), size_of::<$name>()
                );
                $(
                    let _ = writeln!(
                        places, "static_assert(__builtin_offsetof({0}, {1}) == {2}, \"{0}.{1}\");",
                        stringify!($name), stringify!($field), offset_of!($name, $field)
                    );
                )*
            )*
            format!("{sizes}#ifdef EMULATED\n{places}#endif\n")
        }
    };
}

structs! {
    /// Two operands of shapes that differ, and a contiguous result. Axes from the outermost on; at least one.
    Broadcast {
        /// Entries of the result.
        count: u64,
        /// The number of axes.
        rank: i32,
        /// The result's.
        sizes: [i32; RANK],
        /// 0 along axes that are stretched.
        a_strides: [i32; RANK],
        /// 0 along axes that are stretched.
        b_strides: [i32; RANK],
    }

    /// The sum of a contiguous `dy` over the axes along which `dx` was stretched.
    Reduce {
        /// Entries of `dx`.
        count: u64,
        /// Entries of `dy` that are summed into each.
        reduced: u64,
        /// The number of axes.
        rank: i32,
        /// Those of `dy`.
        sizes: [i32; RANK],
        /// Of the factor that `dy` is multiplied by.
        factor_strides: [i32; RANK],
        /// 0 along the axes that are summed.
        dx_strides: [i32; RANK],
    }

    /// A copy from one order of entries to another.
    Strided {
        /// Entries to copy.
        count: u64,
        /// Of the source.
        x_strides: [i64; RANK],
        /// Of the target.
        y_strides: [i64; RANK],
        /// The number of axes.
        rank: i32,
        /// Of both.
        sizes: [i32; RANK],
    }

    /// A mask, as `kernels::cpu::dropout` draws it.
    Dropout {
        /// Where the seed of the tape lies; 0 where `key` is the whole key.
        seed: Address,
        /// The key of the random numbers, or the place from which it is derived with the seed.
        key: u64,
        /// The least hash that is kept: `p·2³²`, rounded. 0 drops nothing.
        threshold: u32,
        /// `1/(1 − p)`
        factor: f32,
    }

    /// The sizes and settings of attention.
    Attention {
        /// Sentences.
        batch: i32,
        /// H
        heads: i32,
        /// Columns of a head.
        d: i32,
        /// H·d, and the entries from one row to the next.
        width: i32,
        /// What scores are multiplied by.
        scale: f32,
        /// Of the weights.
        dropout: Dropout,
    }

    /// Tensors of which the squares are summed.
    TensorList {
        /// Their first entries.
        p: [Address; TENSORS],
        /// How many entries each has.
        n: [u64; TENSORS],
        /// How many tensors there are.
        count: i32,
    }

    /// Parameters that take a step.
    AdamList {
        /// Their values.
        p: [Address; ADAM_TENSORS],
        /// Their gradients.
        g: [Address; ADAM_TENSORS],
        /// Means of gradients.
        m: [Address; ADAM_TENSORS],
        /// Means of their squares.
        v: [Address; ADAM_TENSORS],
        /// How many entries each has.
        n: [u64; ADAM_TENSORS],
        /// 0 where neither kind of decay applies.
        decays: [i32; ADAM_TENSORS],
        /// How many parameters there are.
        count: i32,
    }
}

impl Dropout {
    /// Drops nothing.
    #[cfg(test)]
    pub(crate) const NONE: Self = Self { seed: 0, key: 0, threshold: 0, factor: 1.0 };

    /// Entries are dropped with probability `p`, which is in [0, 1).
    pub(crate) fn new(key: u64, p: f64) -> Self {
        // As on the CPU, the conversion stops at 2³² − 1.
        Self {
            seed: 0,
            key,
            threshold: (p * 4_294_967_296.0).round() as u32,
            factor: (1.0 / (1.0 - p)) as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_fields_in_their_places() {
        let (seed, key) = (0x1817_1615_1413_1211, 0x0807_0605_0403_0201);
        let dropout = Dropout { seed, key, threshold: 0x0c0b_0a09, factor: 1.0 };
        let attention = Attention { batch: 1, heads: 2, d: 3, width: 6, scale: 0.5, dropout };
        let bytes = attention.bytes();
        assert_eq!(bytes[..4], 1i32.to_le_bytes());
        assert_eq!(bytes[16..20], 0.5f32.to_le_bytes());
        assert_eq!(bytes[20..24], [0; 4], "padding");
        assert_eq!(bytes[24..32], [0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18]);
        assert_eq!(bytes[32..44], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(bytes[44..], 1.0f32.to_le_bytes());
    }
}

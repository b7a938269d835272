//! The exponential in single precision.

/// `e^x` in single precision, for units that have multiply-add and a way to scale by a power of two: `x = t·ln 2 + r`
/// with `|r| ≤ ln 2 / 2`, `e^r` by a degree-5 polynomial after Cephes (Moshier), at most 0.7 units in the last place
/// off. Inputs below −87.33 give about 1e-38 where the true value is smaller still; −∞ is no exception, so callers that
/// need exact zeros write them.
macro_rules! exp_f32 {
    ($s:ident, $x:ident, $round:expr, $scale:expr) => {{
        // In this order a NaN stays one: minimum and maximum give their second operand where either is NaN.
        let x = $s.min_f32($s.splat(88.37), $s.max($s.splat(-87.33), $x));
        let t = $round($s.mul(x, $s.splat(std::f32::consts::LOG2_E)));
        // ln 2 in two parts, the first exact in few bits, so that t·ln 2 loses nothing.
        let r = $s.fma(t, $s.splat(-0.693_359_4), x);
        let r = $s.fma(t, $s.splat(2.121_944_4e-4), r);
        let mut p = $s.splat(1.987_569_1e-4);
        for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_6e-1, 0.5] {
            p = $s.fma(p, r, $s.splat(c));
        }
        let p = $s.add($s.fma($s.mul(p, r), r, r), $s.splat(1.0));
        $scale(p, t)
    }};
}

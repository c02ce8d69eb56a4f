//! Loops that the compiler turns into vector instructions, and functions of numbers for them.

/// Numbers side by side.
pub const LANES: usize = 16;

/// [`LANES`] numbers, in registers of whatever width. Their methods are for functions of [`vectorised`], which have checked that
/// the processor can what they are made of.
pub trait Lanes: Copy {
    fn splat(number: f32) -> Self;
    /// # Safety
    /// [`LANES`] numbers lie there.
    unsafe fn load(from: *const f32) -> Self;
    /// # Safety
    /// As of [`Lanes::load`].
    unsafe fn store(self, into: *mut f32);
    /// `self * by + to`, rounded once.
    fn times_plus(self, by: Self, to: Self) -> Self;
}

impl Lanes for [f32; LANES] {
    #[inline(always)]
    fn splat(number: f32) -> Self {
        [number; LANES]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: of the caller.
        unsafe { from.cast::<Self>().read() }
    }

    #[inline(always)]
    unsafe fn store(self, into: *mut f32) {
        // SAFETY: of the caller.
        unsafe { into.cast::<Self>().write(self) }
    }

    #[inline(always)]
    fn times_plus(self, by: Self, to: Self) -> Self {
        std::array::from_fn(|lane| self[lane].mul_add(by[lane], to[lane]))
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(
    clippy::undocumented_unsafe_blocks,
    reason = "only functions for processors with them are made of these; pointers are the caller's"
)]
mod x86 {
    use std::arch::x86_64::*;

    use super::Lanes;

    impl Lanes for __m512 {
        #[inline(always)]
        fn splat(number: f32) -> Self {
            unsafe { _mm512_set1_ps(number) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { _mm512_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn store(self, into: *mut f32) {
            unsafe { _mm512_storeu_ps(into, self) }
        }

        #[inline(always)]
        fn times_plus(self, by: Self, to: Self) -> Self {
            unsafe { _mm512_fmadd_ps(self, by, to) }
        }
    }

    impl Lanes for [__m256; 2] {
        #[inline(always)]
        fn splat(number: f32) -> Self {
            [unsafe { _mm256_set1_ps(number) }; 2]
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
        }

        #[inline(always)]
        unsafe fn store(self, into: *mut f32) {
            unsafe { (_mm256_storeu_ps(into, self[0]), _mm256_storeu_ps(into.add(8), self[1])) };
        }

        #[inline(always)]
        fn times_plus(self, by: Self, to: Self) -> Self {
            unsafe { [_mm256_fmadd_ps(self[0], by[0], to[0]), _mm256_fmadd_ps(self[1], by[1], to[1])] }
        }
    }
}

/// Makes a function for this machine's vector instructions, found out when it is called, of one whose loops the compiler turns into
/// them, or which is made of [`Lanes`]: `fn name<L, …>`.
macro_rules! vectorised {
    ($(#[$doc:meta])* $vis:vis fn $name:ident <$lanes:ident $(, $number:ident: $bound:path)?> ($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)? $body:block) => {
        $(#[$doc])*
        $vis fn $name $(<$number: $bound>)? ($($arg: $type),*) $(-> $out)? {
            #[allow(clippy::extra_unused_type_parameters)]
            #[inline(always)]
            fn plain<$lanes: $crate::model::kernel::simd::Lanes $(, $number: $bound)?>($($arg: $type),*) $(-> $out)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                fn wide $(<$number: $bound>)? ($($arg: $type),*) $(-> $out)? {
                    plain::<std::arch::x86_64::__m512 $(, $number)?>($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn half $(<$number: $bound>)? ($($arg: $type),*) $(-> $out)? {
                    plain::<[std::arch::x86_64::__m256; 2] $(, $number)?>($($arg),*)
                }
                if $crate::model::kernel::simd::wide() {
                    // SAFETY: this processor has the instructions that the function may use.
                    return unsafe { wide($($arg),*) };
                }
                if $crate::model::kernel::simd::fuses() {
                    // SAFETY: as above.
                    return unsafe { half($($arg),*) };
                }
            }
            plain::<[f32; $crate::model::kernel::simd::LANES] $(, $number)?>($($arg),*)
        }
    };
}
pub(crate) use vectorised;

/// Whether the processor has AVX-512 as servers do.
#[cfg(target_arch = "x86_64")]
pub fn wide() -> bool {
    #[cfg(test)]
    if tests::NARROW.get() {
        return false;
    }
    macro_rules! all { ($($name:tt)*) => { true $(&& std::arch::is_x86_feature_detected!($name))* } }
    all!("avx512f" "avx512bw" "avx512dq" "avx512vl" "avx2" "fma")
}

/// Whether the processor multiplies and adds with one rounding. In software that takes fifty times as long.
pub fn fuses() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    return cfg!(target_arch = "aarch64");
}

/// e^x of x up to 0, to 1e-7 of it; below e^-87 it is that. Reduction and polynomial are those of Cephes' expf (S. Moshier).
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const ROUNDS: f32 = 12_582_912.0; // 1.5 * 2^23: whole numbers lie one apart from here
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUNDS);
    let whole = shifted - ROUNDS;
    let rest = whole.mul_add(2.121_944_4e-4, whole.mul_add(-0.693_359_4, x));
    let series = [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    let sum = series.iter().fold(1.987_569_1e-4f32, |sum, term| sum.mul_add(rest, *term));
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23)); // 2^whole
    (sum * rest).mul_add(rest, rest + 1.0) * power
}

#[cfg(test)]
pub mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        /// Whether this thread does without AVX-512, as other processors do.
        pub static NARROW: Cell<bool> = const { Cell::new(false) };
    }

    #[test]
    fn exp_is_the_exponential_and_keeps_what_is_no_number() {
        for at in 0..200_000 {
            let x = -86.9 * (at as f32 / 2e5);
            let (here, there) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((here / there - 1.0).abs() < 1.5e-7, "{x}: {here} for {there}");
        }
        assert_eq!((exp(0.0), exp(f32::NEG_INFINITY) < 2e-38), (1.0, true));
        assert!(exp(f32::NAN).is_nan());
    }
}

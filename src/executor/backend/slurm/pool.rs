//! Which pool a job goes to, how many slots and pilots that makes: pure, so that a dry run is exact.

use super::amount::{self, memory_bytes};
use super::profile::{Pool, Profile};
use crate::error::{Error, Result};

/// What a job needs of an allocation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Need {
    pub gpus: u32,
    pub bytes: u64,
    /// On one slot, where that can be told.
    pub seconds: Option<f64>,
    /// Whether it can be gone on with in the next allocation.
    pub can_be_cut: bool,
}

/// Where a job goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub pool: usize,
    /// One after the other; none where its time cannot be told.
    pub allocations: Option<u64>,
}

impl Pool {
    /// GPUs of one allocation.
    pub(super) fn gpu_count(&self) -> u32 {
        self.gpus.or_else(|| self.gres.as_deref().map(gres_gpus)).unwrap_or(0)
    }

    /// Workers of a pilot: one for each `together` of its GPUs, or as many as the cores allow.
    pub(super) fn slots(&self, threads: Option<u32>, together: usize) -> u32 {
        match self.gpu_count() {
            0 => (self.cpus / threads.unwrap_or(1)).max(1),
            gpus => (gpus / together.max(1) as u32).max(1),
        }
    }

    fn seconds_of_work(&self, grace: u32) -> Option<f64> {
        Some((self.seconds? as f64 - f64::from(grace)).max(1.0))
    }

    pub(super) fn name(&self, number: usize) -> String {
        let parts = [&self.partition, &self.qos, &self.constraint].map(|part| part.as_deref().unwrap_or_default());
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        if parts.is_empty() { format!("pool {number}") } else { parts.join(" ") }
    }
}

/// GPUs of `gpu`, `gpu:4`, `gpu:a100:4`, and of lists with others between commas.
fn gres_gpus(gres: &str) -> u32 {
    let gpus = |part: &str| {
        let mut words = part.split('(').next().unwrap_or_default().split([':', '=']);
        (words.next() == Some("gpu")).then(|| words.next_back().and_then(|count| count.parse().ok()).unwrap_or(1))
    };
    gres.split(',').filter_map(gpus).sum()
}

impl Profile {
    pub(super) fn has_gpus(&self) -> bool {
        self.pools.iter().any(|pool| pool.gpu_count() > 0)
    }

    /// The tightest pool that a job fits: of those that have what it needs the one with the fewest GPUs, cores, bytes, and
    /// the shortest time that it is done in; else the one with the longest, where it is cut.
    ///
    /// # Errors
    /// No pool has what it needs; or none is long enough, and it cannot be cut.
    pub(super) fn tightest(&self, need: &Need, what: &str) -> Result<Place> {
        let memory = |pool: &Pool| pool.memory.as_deref().and_then(memory_bytes).unwrap_or(u64::MAX);
        let has = |pool: &&(usize, &Pool)| pool.1.gpu_count() >= need.gpus && memory(pool.1) >= need.bytes;
        let pools: Vec<(usize, &Pool)> = self.pools.iter().enumerate().collect();
        let fitting: Vec<&(usize, &Pool)> = pools.iter().filter(has).collect();
        if fitting.is_empty() {
            let (gpus, bytes) = (need.gpus, crate::units::bytes(need.bytes));
            return Err(Error::bad_input(format!(
                "{what} needs {gpus} GPUs and {bytes}: no pool of the profile has those"
            ))
            .hint("add a [[slurm.pool]] with more `gpus` or `memory`, or take the model out of the sweep"));
        }
        let work = |pool: &Pool| pool.seconds_of_work(self.grace).unwrap_or(f64::INFINITY);
        let in_one = |pool: &Pool| need.seconds.is_none_or(|seconds| seconds <= work(pool));
        let size = |pool: &Pool| (pool.gpu_count(), pool.cpus, memory(pool));
        let shorter = |a: &Pool, b: &Pool| work(a).total_cmp(&work(b));
        let tightest = fitting
            .iter()
            .filter(|pool| in_one(pool.1))
            .min_by(|a, b| size(a.1).cmp(&size(b.1)).then(shorter(a.1, b.1)).then(a.0.cmp(&b.0)));
        if let Some((pool, _)) = tightest {
            return Ok(Place { pool: *pool, allocations: need.seconds.map(|_| 1) });
        }
        let longest =
            fitting.iter().max_by(|a, b| shorter(a.1, b.1).then(size(b.1).cmp(&size(a.1))).then(b.0.cmp(&a.0)));
        let Some((number, pool)) = longest else { return Err(Error::bad_input("the profile has no pool")) };
        let seconds = need.seconds.unwrap_or(0.0);
        if !need.can_be_cut {
            let (took, has) = (crate::units::duration(seconds), amount::time(pool.seconds.unwrap_or(0)));
            return Err(Error::bad_input(format!(
                "{what} takes about {took} and cannot be gone on with: the longest allocation is {has} ({})",
                pool.name(*number)
            ))
            .hint("a pool with a longer `time`, a smaller budget, or a script that writes checkpoints"));
        }
        Ok(Place { pool: *number, allocations: Some((seconds / work(pool)).ceil() as u64) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(pools: &[(u32, u32, Option<&str>, Option<u64>)]) -> Profile {
        let pool = |(gpus, cpus, memory, seconds): &(u32, u32, Option<&str>, Option<u64>)| Pool {
            gpus: (*gpus > 0).then_some(*gpus),
            cpus: *cpus,
            memory: memory.map(str::to_owned),
            seconds: *seconds,
            pilots: 1,
            ..Pool::default()
        };
        Profile {
            pools: pools.iter().map(pool).collect(),
            setup: vec![],
            prefix: String::new(),
            program: None,
            sbatch: vec![],
            grace: 60,
        }
    }

    fn need(gpus: u32, seconds: Option<f64>) -> Need {
        Need { gpus, bytes: 0, seconds, can_be_cut: true }
    }

    #[test]
    fn gpus_are_counted_in_gres() {
        for (gres, gpus) in [
            ("gpu", 1),
            ("gpu:4", 4),
            ("gpu:a100:2", 2),
            ("gpu:a100", 1),
            ("shard:2", 0),
            ("gpu:1,tmpfs:10G,gpu:v100:2", 3),
        ] {
            assert_eq!(gres_gpus(gres), gpus, "{gres}");
        }
    }

    #[test]
    fn a_job_goes_to_the_tightest_pool_that_it_fits() {
        let profile = profile(&[
            (8, 64, None, Some(86_400)),
            (1, 8, None, Some(3600)),
            (0, 4, None, None),
            (1, 8, None, Some(600)),
        ]);
        let place = |need: Need| profile.tightest(&need, "a").unwrap();
        assert_eq!(place(need(0, None)).pool, 2);
        assert_eq!(place(need(1, Some(500.0))), Place { pool: 3, allocations: Some(1) });
        assert_eq!(place(need(1, Some(1000.0))).pool, 1);
        assert_eq!(place(need(1, Some(10_000.0))).pool, 0);
        assert_eq!(place(need(2, Some(1.0))).pool, 0);
        assert_eq!(place(need(1, Some(200_000.0))), Place { pool: 0, allocations: Some(3) });
    }

    #[test]
    fn what_fits_nowhere_is_refused_with_what_it_needs() {
        let small = profile(&[(1, 8, Some("4G"), Some(3600))]);
        let none = small.tightest(&need(2, None), "run a").unwrap_err();
        assert!(none.message.contains("run a needs 2 GPUs"), "{none}");
        let heavy = Need { bytes: 5 << 30, ..need(1, None) };
        assert!(small.tightest(&heavy, "a").unwrap_err().hint.unwrap().contains("`memory`"));
        let long = Need { can_be_cut: false, ..need(1, Some(7200.0)) };
        let refused = small.tightest(&long, "run a").unwrap_err();
        assert!(refused.message.contains("cannot be gone on with: the longest allocation is 01:00:00"), "{refused}");
        assert_eq!(small.tightest(&need(1, Some(7080.0)), "a").unwrap().allocations, Some(2));
    }
}

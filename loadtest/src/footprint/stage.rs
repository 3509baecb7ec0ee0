//! Stage: a gateway under a policy of so many tenants, with the mock behind it.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use super::connection::Connection;
use super::problem::{Context, Problem};
use super::{memory, policy};
use crate::clock::mono_us;
use crate::mock::{Mock, Options};
use crate::rig::gateway::{self, Gateway, Slot};
use crate::rig::{self, admin, interrupt};

/// Pages are given back a while after they were freed, and by the gateway in two steps, a second apart: so long a figure must
/// stand still to count.
const STILL: u32 = 15;
const LOOK: Duration = Duration::from_millis(100);
const LOOKS_MAX: u32 = 100;
/// What a figure that stands still may still move.
const TREMBLE_BYTES: u64 = 64 << 10;

/// Where gateways are started, one after the other.
#[derive(Debug)]
pub struct Stage {
    plan: gateway::Plan,
    slot: Slot,
}

/// What stands while a part is measured.
#[derive(Debug)]
pub struct Scene {
    /// Ends before the mock does: fields are dropped in order.
    pub gateway: Gateway,
    /// The mock's URL.
    pub pool: String,
    /// From its start until it served, policy included.
    pub ready_after: Duration,
    _mock: Mock,
}

impl Stage {
    /// From now on a signal ends the gateway that runs, and then this program.
    ///
    /// # Errors
    /// Signals cannot be taken.
    pub fn new(program: Option<PathBuf>) -> Result<Stage, Problem> {
        let slot = Slot::default();
        interrupt::watch(&slot)?;
        Ok(Stage { plan: gateway::Plan { program, workers: 1, keep: None }, slot })
    }

    /// Starts a gateway under a policy of so many tenants.
    ///
    /// # Errors
    /// It does not start, or does not know the last tenant.
    pub fn set(&self, tenants: u32) -> Result<Scene, Problem> {
        let mock =
            Mock::start(&Options { record: None, ..Options::default() }).map_err(rig::Problem::Mock)?;
        let pool = mock.url();
        let mut begun_us = 0;
        let gateway = Gateway::start(&self.plan, false, &self.slot, |dir| {
            policy::write(dir, &pool, tenants)?;
            begun_us = mono_us();
            Ok(())
        })?;
        let ready_after = Duration::from_micros(mono_us() - begun_us);
        let scene = Scene { gateway, pool, ready_after, _mock: mock };
        scene.call(&mut scene.connect()?, tenants - 1)?;
        Ok(scene)
    }
}

impl Scene {
    /// A connection to the gateway.
    ///
    /// # Errors
    /// It does not accept.
    pub fn connect(&self) -> Result<Connection, Problem> {
        Connection::open(self.gateway.address).while_doing("connect to the gateway")
    }

    /// One request as a tenant's user, through the whole walk.
    ///
    /// # Errors
    /// The answer is not 200.
    pub fn call(&self, connection: &mut Connection, tenant: u32) -> Result<(), Problem> {
        let code = policy::code(tenant);
        match connection.get(policy::ANSWER, Some(&code)).while_doing("ask the gateway")? {
            200 => Ok(()),
            status => Err(Problem::Status { what: format!("a call of tenant-{tenant}"), status }),
        }
    }

    /// Bytes in the gateway's memory, once that stands still.
    ///
    /// # Errors
    /// The gateway has ended.
    pub fn resident(&self) -> Result<u64, Problem> {
        let mut last = self.resident_now()?;
        let mut still = 0;
        for _ in 0..LOOKS_MAX {
            sleep(LOOK);
            let now = self.resident_now()?;
            still = if now.abs_diff(last) <= TREMBLE_BYTES { still + 1 } else { 0 };
            last = now;
            if still == STILL {
                break;
            }
        }
        Ok(last)
    }

    /// Connections that the gateway has open.
    ///
    /// # Errors
    /// It does not say.
    pub fn connections(&self) -> Result<u64, Problem> {
        let page = admin::get(self.gateway.admin, "/metrics").map_err(rig::Problem::Admin)?;
        Ok(admin::metric(&String::from_utf8_lossy(&page), "gateway_connections{listener=\"http\"}"))
    }

    fn resident_now(&self) -> Result<u64, Problem> {
        let process = self.gateway.process_id().ok_or_else(|| std::io::ErrorKind::NotFound.into());
        process.and_then(memory::resident).while_doing("read the gateway's memory; has it ended?")
    }
}

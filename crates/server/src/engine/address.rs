//! Whether a plan's traffic can be taken in where it asks for it.

use rollout::machine::{Refusal, State};
use rollout::plan::Plan;
use rollout::route::{DoorRoute, Route, conflict};

use super::core::Core;
use super::handle::EngineError;

impl Core {
    /// Refuses a plan whose traffic could not be taken in as it says, or that would close a door
    /// nobody `meant` to close.
    pub(super) async fn refuse_address(&self, plan: &Plan, meant: bool) -> Result<(), EngineError> {
        self.refuse_taken_address(plan)?;
        self.refuse_moved_address(plan, meant)?;
        self.refuse_dead_address(plan).await
    }

    /// Whoever knocks at a service's address finds it closed, or somebody else there, once a
    /// release is stable that is not for them: nobody does that by mistake.
    fn refuse_moved_address(&self, plan: &Plan, meant: bool) -> Result<(), EngineError> {
        let facts = self.board.service(&plan.service);
        let Some((_, serving)) = facts.and_then(|facts| facts.stable.as_ref()) else {
            return Ok(());
        };
        let active = facts.and_then(|facts| facts.active.as_ref());
        let coming = active.and_then(|id| self.rollouts.get(id)).filter(|it| {
            it.plan.listen != plan.listen
                && matches!(it.state, State::Deploying { .. } | State::Running(_))
        });
        let moved = if let (Some(coming), true) = (coming, serving.listen == plan.listen) {
            format!(
                "{}, which is under way, takes {} to {}, the plan takes it back to {}: that address would close",
                coming.id, plan.service, coming.plan.listen, plan.listen
            )
        } else if serving.listen != plan.listen {
            format!(
                "{} takes its traffic in on {}, the plan on {}: the old address would close",
                plan.service, serving.listen, plan.listen
            )
        } else if let Some(lost) = plan.route.lacks(&serving.route) {
            format!(
                "{} is for {lost} on {}, the plan is not: nobody would answer there for it",
                plan.service, plan.listen
            )
        } else {
            return Ok(());
        };
        if meant {
            return Ok(());
        }
        let message = format!(
            "{moved} as soon as this release is stable; ask for that on purpose with --new-listen"
        );
        Err(Refusal { code: "listen-moves", message }.into())
    }

    /// An address the proxy here could not listen on would be found out after the rollout only.
    /// One that is served already is not tried, nor one that overlaps with such: who listens there
    /// is the proxy itself, which shares a port with itself.
    async fn refuse_dead_address(&self, plan: &Plan) -> Result<(), EngineError> {
        let mut listens = self.snapshot.services.iter().map(|route| route.listen.as_str());
        let served = listens.any(|listen| listen == plan.listen || overlap(listen, &plan.listen));
        if served || !self.proxies.has_embedded() {
            return Ok(());
        }
        match tokio::net::TcpListener::bind(&plan.listen).await {
            Ok(_) => Ok(()),
            Err(error) => Err(EngineError::Invalid(format!(
                "cannot listen on {}: {error}; free it, or give {} another `listen` address",
                plan.listen, plan.service
            ))),
        }
    }

    /// Services share an address when every request there is for one of them, and when they
    /// agree in how connections are taken in.
    fn refuse_taken_address(&self, plan: &Plan) -> Result<(), EngineError> {
        let taken = self.takers(plan).find_map(|(service, door, route)| {
            Some((service, conflict((&plan.door, &plan.route), (door, route))?))
        });
        let Some((service, why)) = taken else { return Ok(()) };
        Err(EngineError::Invalid(format!(
            "{} cannot share {} with {service}: {why}; give it other hosts or paths under `route`, \
             the same settings under `listen`, or an address of its own",
            plan.service, plan.listen
        )))
    }

    /// Other services that take in traffic on a plan's address, or are to, and how.
    fn takers<'a>(
        &'a self,
        plan: &'a Plan,
    ) -> impl Iterator<Item = (&'a str, &'a DoorRoute, &'a Route)> {
        let here = |service: &str, listen: &str| service != plan.service && listen == plan.listen;
        let serving = self.snapshot.services.iter();
        let serving = serving.filter(move |it| here(&it.service, &it.listen));
        let coming = self.rollouts.values().filter(|rollout| !rollout.is_over());
        let coming = coming.map(|rollout| &rollout.plan);
        let coming = coming.filter(move |it| here(&it.service, &it.listen));
        let serving = serving.map(|it| (it.service.as_str(), &it.door, &it.route));
        serving.chain(coming.map(|it| (it.service.as_str(), &it.door, &it.route)))
    }
}

/// Whether one of the two addresses is that of every interface, on the port of the other.
fn overlap(one: &str, other: &str) -> bool {
    let split = |listen: &str| {
        let (host, port) = listen.rsplit_once(':')?;
        Some((matches!(host, "0.0.0.0" | "[::]"), port.to_owned()))
    };
    match (split(one), split(other)) {
        (Some((all, port)), Some((others, at))) => port == at && (all || others),
        _ => false,
    }
}

//! Changes of the master data, and what they mean for runs, on both engines.

use futures::future::join_all;
use safire_domain::{
    NodeId, RunId, ScenarioId,
    engine::{self, Plain, Quantity},
    master_data::{DefaultSet, MasterData},
    price::{NewPrice, Ware},
    run::Run,
    run::{self, Findings},
    scenario::{Pathway, Scenario},
    user::{Access, User},
};
use safire_store::{
    Connection,
    access::Written,
    master_data::{self, Edited},
    projects,
    runs::{self, Accepted, Ask, Lease, Request, Standing},
    scenarios, users,
};
use safire_test_support::{analyst, now, on_both_engines, project, scenario};

fn pathway(process: &str, feedstock: &str, country: &str) -> Pathway {
    Pathway { process: process.into(), feedstock: feedstock.into(), country: country.into() }
}

fn price(ware: Ware, code: &str, country: Option<&str>, value: f64) -> NewPrice {
    NewPrice { ware, code: code.into(), country: country.map(str::to_owned), price: Quantity::new(value, "USD/t") }
}

fn usa() -> DefaultSet {
    MasterData::seed().defaults[0].clone()
}

/// An analyst's project with scenarios of these countries.
async fn plants(c: &mut Connection, countries: &[&str]) -> (User, Vec<Scenario>) {
    let user = analyst();
    let project = project(&user);
    users::insert(c, &user, None).await.unwrap();
    projects::insert(c, &project).await.unwrap();
    let mut plants = Vec::new();
    for country in countries {
        let plant = Scenario { pathway: pathway("HEFA", "UCO", country), ..scenario(&project) };
        assert_eq!(scenarios::insert(c, Access::of(&user), &plant).await.unwrap(), Written::Yes);
        plants.push(plant);
    }
    (user, plants)
}

async fn accepted(c: &mut Connection, user: &User, scenario: ScenarioId) -> Accepted {
    let now = now();
    let lease = Lease { owner: NodeId::new(now), length: std::time::Duration::from_secs(15) };
    let (access, ask) = (Access::of(user), Ask::Analysis(Box::new(run::base())));
    let request =
        Request { access, scenario, ask, inputs: None, versions: None, run: RunId::new(now), lease, key: None, now };
    let accepted = runs::accept(c, request).await.unwrap();
    if let Accepted::New(run, assignment) = &accepted {
        let base = engine::analyse(&assignment.order.inputs, &mut Plain);
        let outcome = base.map(|base| Findings { base, analysis: None });
        assert!(runs::settle(c, run.id, run.attempt, lease.owner, outcome, now).await.unwrap());
    }
    accepted
}

/// Has the scenario calculated anew.
async fn calculated(c: &mut Connection, user: &User, scenario: &Scenario) -> Run {
    match accepted(c, user, scenario.id).await {
        Accepted::New(run, _) => run,
        other => panic!("not a new run: {other:?}"),
    }
}

async fn standing(c: &mut Connection, user: &User, plants: &[Scenario]) -> Vec<Standing> {
    let ids: Vec<_> = plants.iter().map(|plant| plant.id).collect();
    runs::standing(c, Access::of(user), &ids).await.unwrap()
}

/// Whether the scenarios' results are stale, asked in both ways.
async fn stale(c: &mut Connection, user: &User, plants: &[Scenario]) -> Vec<bool> {
    let mut stale = Vec::new();
    for Standing { scenario, ended, .. } in standing(c, user, plants).await {
        stale.push(runs::is_stale(c, &scenario, &ended.unwrap().run).await.unwrap());
    }
    let again: Vec<_> = standing(c, user, plants).await.iter().map(Standing::is_stale).collect();
    assert_eq!(stale, again);
    stale
}

on_both_engines! {
    async fn a_default_set_is_replaced_and_made_each_with_an_edition_of_its_own(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let mut set = usa();
        set.inputs.economics.discount_rate = Some(Quantity::new(0.1 + 0.2, "1"));
        set.notes = vec!["by hand".into(), "twice".into()];
        let put = master_data::put_default_set(&mut c, set.clone(), |_| true).await.unwrap();
        assert_eq!(put, Edited::Done { edition: 2, found: false });
        let read = master_data::defaults_of(&mut c, &set.pathway).await.unwrap();
        assert_eq!(read, (2, Some(set.clone())));

        let new = DefaultSet { pathway: pathway("ATJ", "UCO", "Malaysia"), ..set.clone() };
        assert_eq!(master_data::defaults_of(&mut c, &new.pathway).await.unwrap(), (2, None));
        let put = master_data::put_default_set(&mut c, new.clone(), |_| true).await.unwrap();
        assert_eq!(put, Edited::Done { edition: 3, found: true });
        let all = master_data::load(&mut c).await.unwrap();
        assert_eq!((all.edition, all.defaults.len()), (3, 5));
        assert_eq!((all.defaults_for(&set.pathway), all.defaults_for(&new.pathway)), (Some(&set), Some(&new)));
        // The other sets are as they were.
        assert_eq!(all.defaults_for(&MasterData::seed().defaults[2].pathway), Some(&MasterData::seed().defaults[2]));
    }

    async fn a_write_that_changes_nothing_makes_no_edition(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let put = master_data::put_default_set(&mut c, usa(), |_| true).await.unwrap();
        assert_eq!(put, Edited::Done { edition: 1, found: false });
        let uco = price(Ware::Feedstock, "UCO", None, 930.0);
        let set = master_data::set_price(&mut c, uco, None).await.unwrap();
        let both = vec![pathway("HEFA", "UCO", "USA"), pathway("HEFA", "UCO", "Malaysia")];
        assert_eq!(set, Edited::Done { edition: 1, found: both });
        let gasoline = price(Ware::Product, "gasoline", None, 900.0);
        let set = master_data::set_price(&mut c, gasoline, None).await.unwrap();
        assert_eq!(set, Edited::Done { edition: 1, found: vec![] });
        assert_eq!(master_data::load(&mut c).await.unwrap(), *MasterData::seed());
    }

    async fn a_price_is_written_into_every_set_that_it_is_meant_for_at_once(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let jet = master_data::set_price(&mut c, price(Ware::Product, "jet", None, 2500.0), None).await.unwrap();
        let Edited::Done { edition: 2, found } = jet else { panic!("{jet:?}") };
        assert_eq!(found.len(), 4);
        let uco = price(Ware::Feedstock, "UCO", Some("Malaysia"), 880.0);
        let uco = master_data::set_price(&mut c, uco, None).await.unwrap();
        assert_eq!(uco, Edited::Done { edition: 3, found: vec![pathway("HEFA", "UCO", "Malaysia")] });

        let mut expected = MasterData::seed().clone();
        expected.edition = 3;
        for set in &mut expected.defaults {
            set.inputs.products.get_mut("jet").unwrap().price = Some(Quantity::new(2500.0, "USD/t"));
        }
        expected.defaults[1].inputs.feedstocks.get_mut("UCO").unwrap().price = Some(Quantity::new(880.0, "USD/t"));
        assert_eq!(master_data::load(&mut c).await.unwrap(), expected);
    }

    async fn a_change_of_another_edition_than_the_expected_one_writes_nothing(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let price = |value| price(Ware::Product, "jet", None, value);
        let first = master_data::set_price(&mut c, price(2500.0), Some(vec![1])).await.unwrap();
        assert!(matches!(first, Edited::Done { edition: 2, .. }), "{first:?}");
        let before = master_data::load(&mut c).await.unwrap();
        let late = master_data::set_price(&mut c, price(2600.0), Some(vec![1])).await.unwrap();
        assert_eq!(late, Edited::Stale { edition: 2 });
        let late = master_data::put_default_set(&mut c, usa(), |edition| edition == Some(1)).await.unwrap();
        assert_eq!(late, Edited::Stale { edition: 2 });
        assert_eq!(master_data::load(&mut c).await.unwrap(), before);
    }

    async fn changes_that_meet_are_made_one_after_the_other(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let wares = [(Ware::Product, "jet"), (Ware::Product, "diesel"), (Ware::Feedstock, "UCO")];
        let writes = (0..9).map(|n| async move {
            let mut c = database.connect().await;
            let (ware, code) = wares[n % 3];
            master_data::set_price(&mut c, price(ware, code, None, 1000.0 + n as f64), None).await.unwrap()
        });
        let mut editions = Vec::new();
        for written in join_all(writes).await {
            let Edited::Done { edition, .. } = written else { panic!("{written:?}") };
            editions.push(edition);
        }
        editions.sort_unstable();
        assert_eq!(editions, (2..=10).collect::<Vec<_>>());
        let at_once = (0..4).map(|n| async move {
            let mut c = database.connect().await;
            let price = price(Ware::Product, "jet", None, 2000.0 + f64::from(n));
            master_data::set_price(&mut c, price, Some(vec![10])).await.unwrap()
        });
        let done = join_all(at_once).await.into_iter().filter(|e| matches!(e, Edited::Done { .. })).count();
        assert_eq!(done, 1);
        // No change undid what another had written into the same set.
        let set = master_data::load(&mut c).await.unwrap().defaults[0].inputs.clone();
        let prices = [&set.products["jet"].price, &set.products["diesel"].price, &set.feedstocks["UCO"].price];
        assert!(prices.iter().all(|price| price.as_ref().unwrap().value < 3000.0));
        assert_ne!(prices[2].as_ref().unwrap().value, 930.0);
        assert_ne!(prices[1].as_ref().unwrap().value, 1500.0);
    }

    async fn master_data_is_read_as_of_one_edition_while_it_changes(database: &TestDatabase) {
        let _ = database.prepared().await;
        let write = async {
            let mut c = database.connect().await;
            for n in 0..40 {
                let jet = price(Ware::Product, "jet", None, 1000.0 + f64::from(n));
                master_data::set_price(&mut c, jet, None).await.unwrap();
            }
        };
        let read = async {
            let mut c = database.connect().await;
            for _ in 0..40 {
                let data = master_data::load(&mut c).await.unwrap();
                for set in &data.defaults {
                    let jet = set.inputs.products["jet"].price.as_ref().unwrap().value;
                    let expected = if data.edition == 1 { 3000.0 } else { 1000.0 + (data.edition - 2) as f64 };
                    assert_eq!(jet, expected, "edition {}", data.edition);
                }
            }
        };
        futures::future::join(write, read).await;
    }

    async fn a_run_takes_the_edition_of_the_day_and_only_what_has_changed_is_stale(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let (user, plants) = plants(&mut c, &["USA", "Malaysia"]).await;
        for plant in &plants {
            assert_eq!(calculated(&mut c, &user, plant).await.edition, 1);
        }
        assert_eq!(stale(&mut c, &user, &plants).await, [false, false]);
        let same = accepted(&mut c, &user, plants[0].id).await;
        assert!(matches!(&same, Accepted::Same(run) if run.edition == 1), "{same:?}");

        let uco = price(Ware::Feedstock, "UCO", Some("USA"), 1000.0);
        master_data::set_price(&mut c, uco, None).await.unwrap();
        assert_eq!(stale(&mut c, &user, &plants).await, [true, false]);
        let run = calculated(&mut c, &user, &plants[0]).await;
        assert_eq!(run.edition, 2);
        assert_eq!(stale(&mut c, &user, &plants).await, [false, false]);
        let (result, _) = runs::result(&mut c, run.id).await.unwrap().unwrap();
        assert_eq!(result.base.feedstocks[0].usd_per_yr, 605_000.0 * 1000.0);

        // The same price in another unit changes no number.
        let kilo = NewPrice { price: Quantity::new(1.0, "USD/kg"), ..price(Ware::Feedstock, "UCO", Some("USA"), 0.0) };
        master_data::set_price(&mut c, kilo, None).await.unwrap();
        assert_eq!(stale(&mut c, &user, &plants).await, [false, false]);
    }

    async fn a_price_that_the_user_gave_is_not_stale_when_the_default_changes(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let (user, plants) = plants(&mut c, &["USA"]).await;
        let mut plant = plants[0].clone();
        let own = usa().inputs.feedstocks["UCO"].clone();
        plant.inputs.feedstocks.insert("UCO".into(), own);
        assert_eq!(scenarios::update(&mut c, Access::of(&user), &plant, now()).await.unwrap(), Written::Yes);
        calculated(&mut c, &user, &plant).await;
        master_data::set_price(&mut c, price(Ware::Feedstock, "UCO", None, 1000.0), None).await.unwrap();
        assert_eq!(stale(&mut c, &user, &plants).await, [false]);
        master_data::set_price(&mut c, price(Ware::Product, "jet", None, 1000.0), None).await.unwrap();
        assert_eq!(stale(&mut c, &user, &plants).await, [true]);
    }

    async fn scenarios_stand_in_the_order_asked_for_and_only_those_that_the_user_sees(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let (user, mine) = plants(&mut c, &["USA", "Malaysia", "USA"]).await;
        let (_, theirs) = plants(&mut c, &["USA"]).await;
        calculated(&mut c, &user, &mine[1]).await;
        let asked = [mine[2].clone(), theirs[0].clone(), mine[1].clone(), mine[0].clone()];
        let found = standing(&mut c, &user, &asked).await;
        let ids: Vec<_> = found.iter().map(|standing| standing.scenario.id).collect();
        assert_eq!(ids, [mine[2].id, mine[1].id, mine[0].id]);
        let results: Vec<_> = found.iter().map(|s| s.ended.as_ref().map(|ended| ended.result.is_some())).collect();
        assert_eq!(results, [None, Some(true), None]);
        assert_eq!(found[0].defaults.as_ref(), Some(&usa().inputs));
        assert!(standing(&mut c, &user, &[]).await.is_empty());
        let many: Vec<_> = plants(&mut c, &["USA"; 20]).await.1;
        assert_eq!(standing(&mut c, &User { role: safire_domain::user::Role::Admin, ..user }, &many).await.len(), 20);
    }
}

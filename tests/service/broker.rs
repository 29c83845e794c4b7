//! The feed against a broker that is a server: what is true in `feed` is true here.
//!
//! Ignored where there is none: `./test --broker -p safire --test service broker` installs it, once.

use std::time::Duration;

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};
use safire_test_support::{PATIENCE, TestDatabase, TestKafka};
use sqlx::Connection;
use tokio::time::Instant;

use crate::{
    app::eventually,
    feed::{alerts_are_told, outlasts_an_outage, price, price_becomes, prices_count_once, publishes_in_order, start},
};

macro_rules! on_a_server {
    ($($name:ident => $what:ident)+) => {$(
        #[tokio::test(flavor = "multi_thread")]
        #[ignore = "needs nisshi: ./test --broker"]
        async fn $name() {
            $what(&TestKafka::nisshi().await, &TestDatabase::postgres().await).await;
        }
    )+};
}

on_a_server! {
    what_happens_is_published_in_the_order_of_each_scenario => publishes_in_order
    prices_change_the_master_data_once_and_make_results_stale => prices_count_once
    alerts_are_told_to_everybody_and_the_last_hundred_are_kept => alerts_are_told
    while_the_broker_is_frozen_no_request_fails_and_everything_arrives_afterwards => outlasts_an_outage
    the_group_is_told_how_far_it_is_only_after_the_transaction => commits_after_the_transaction
}

/// How far the group has told the broker that it is.
fn committed(kafka: &TestKafka, partition: i32) -> Option<i64> {
    let member: BaseConsumer = kafka.member("safire");
    let mut asked = TopicPartitionList::new();
    asked.add_partition("safire.prices", partition);
    let known = member.committed_offsets(asked, PATIENCE).expect("the broker answers");
    match known.find_partition("safire.prices", partition).expect("it was asked for").offset() {
        Offset::Offset(next) => Some(next),
        _ => None,
    }
}

async fn commits_after_the_transaction(kafka: &TestKafka, database: &TestDatabase) {
    let app = start(kafka, database).await;
    let ana = app.register().await;
    let (partition, offset) = kafka.sender.tell("safire.prices", "one", &price(1001.0).to_string(), None).await;
    price_becomes(&ana, 1001.0).await;
    let is_told = async |next| {
        eventually("the group's place", async || match committed(kafka, partition) {
            Some(known) if known == next => Ok(()),
            known => Err(known),
        })
        .await;
    };
    is_told(offset + 1).await;

    // As long as the transaction cannot end, the broker is told nothing.
    let mut blocking = sqlx::PgConnection::connect(database.url()).await.unwrap();
    let mut lock = blocking.begin().await.unwrap();
    sqlx::query("LOCK TABLE feed_offsets").execute(&mut *lock).await.unwrap();
    kafka.sender.tell("safire.prices", "one", &price(1002.0).to_string(), None).await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        assert_eq!(committed(kafka, partition), Some(offset + 1), "told before it was stored");
    }
    lock.rollback().await.unwrap();
    price_becomes(&ana, 1002.0).await;
    is_told(offset + 2).await;
    let next: i64 = sqlx::query_scalar("SELECT next FROM feed_offsets WHERE topic = 'safire.prices' AND part = $1")
        .bind(i64::from(partition))
        .fetch_one(&mut blocking)
        .await
        .unwrap();
    assert_eq!(next, offset + 2);
    app.stop().await;
}

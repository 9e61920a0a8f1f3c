//! Answers kept for idempotency keys.

use super::Subject;
use crate::answers::AnswerClaim;
use crate::error::StoreError;

pub(super) async fn a_request_is_carried_out_once(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    assert_eq!(store.claim_answer("k", "f", 1_000).await?, AnswerClaim::Yours);
    assert_eq!(store.claim_answer("k", "f", 1_000).await?, AnswerClaim::Running);
    assert_eq!(store.claim_answer("k", "g", 1_000).await?, AnswerClaim::OtherRequest);
    assert_eq!(store.claim_answer("l", "g", 1_000).await?, AnswerClaim::Yours);
    store.keep_answer("k", "f", b"first".to_vec(), 5_000).await?;
    store.keep_answer("k", "f", b"second".to_vec(), 5_000).await?;
    subject.advance_ms(4_999);
    assert_eq!(
        store.claim_answer("k", "f", 1_000).await?,
        AnswerClaim::Answered(b"first".to_vec())
    );
    assert_eq!(store.claim_answer("k", "g", 1_000).await?, AnswerClaim::OtherRequest);
    subject.advance_ms(1);
    assert_eq!(store.claim_answer("k", "g", 1_000).await?, AnswerClaim::Yours);
    Ok(())
}

pub(super) async fn a_key_of_the_dead_becomes_free(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    assert_eq!(store.claim_answer("k", "f", 1_000).await?, AnswerClaim::Yours);
    subject.advance_ms(1_000);
    assert_eq!(store.claim_answer("k", "f", 1_000).await?, AnswerClaim::Yours);
    store.forget_answer("k", "g").await?;
    assert_eq!(store.claim_answer("k", "f", 1_000).await?, AnswerClaim::Running);
    store.forget_answer("k", "f").await?;
    assert_eq!(store.claim_answer("k", "f", 1_000).await?, AnswerClaim::Yours);
    store.keep_answer("k", "f", Vec::new(), 5_000).await?;
    store.forget_answer("k", "f").await?;
    assert_eq!(
        store.claim_answer("k", "f", 1_000).await?,
        AnswerClaim::Answered(Vec::new())
    );
    Ok(())
}

pub(super) async fn no_more_answers_are_kept_than_allowed(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    for number in 0..30_u64 {
        let key = format!("k{number}");
        assert_eq!(store.claim_answer(&key, "f", 1_000_000).await?, AnswerClaim::Yours);
        store.keep_answer(&key, "f", Vec::new(), 1_000_000 + number).await?;
    }
    assert_eq!(store.claim_answer("running", "f", 1_000_000).await?, AnswerClaim::Yours);
    subject.advance_ms(60_000);
    subject.engine.maintain().await?;
    assert_eq!(store.claim_answer("k0", "f", 1_000).await?, AnswerClaim::Yours);
    assert_eq!(
        store.claim_answer("k29", "f", 1_000).await?,
        AnswerClaim::Answered(Vec::new())
    );
    assert_eq!(store.claim_answer("running", "f", 1_000).await?, AnswerClaim::Running);
    Ok(())
}

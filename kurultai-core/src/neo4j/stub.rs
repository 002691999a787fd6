use super::Neo4jStore;
use crate::{
    error::{Error, Result},
    messages::{AgentKey, KeyState, KeyStore, Mailbox, Sent, Unread, contract::*},
};
use async_trait::async_trait;
fn no<T>() -> Result<T> {
    Err(Error::internal("stub"))
}
#[async_trait]
impl Mailbox for Neo4jStore {
    async fn put(&self, _: Batch<Vec<Post>>) -> Result<Vec<Result<Vec<Sent>>>> {
        no()
    }
    async fn fetch(&self, _: Batch<Fetch>) -> Result<Vec<Result<Vec<Stored>>>> {
        no()
    }
    async fn settle(&self, _: Batch<Vec<Settle>>) -> Result<Vec<Result<Vec<Result<Settled>>>>> {
        no()
    }
    async fn unread(&self, _: Vec<String>) -> Result<Unread> {
        no()
    }
    async fn read(&self, _: Which, _: Option<String>, _: usize) -> Result<Vec<Stored>> {
        no()
    }
    async fn sweep(&self, _: usize) -> Result<usize> {
        Ok(0)
    }
    async fn refused(&self, _: Refusal) -> Result<u64> {
        no()
    }
}
#[async_trait]
impl KeyStore for Neo4jStore {
    async fn keys(&self, _: Option<&str>) -> Result<Vec<AgentKey>> {
        no()
    }
    async fn put(&self, _: Vec<AgentKey>, _: Vec<(KeyState, AgentKey)>) -> Result<()> {
        no()
    }
    async fn rewrap(&self, _: Vec<Rewrapped>) -> Result<()> {
        no()
    }
}

//! TLS, at a door in front of the server that decrypts. Its certificate is signed by itself.

mod neo4j {
    use crate::fixture::{neo4j_url, task};
    use kurultai_core::{Config, Kind, Kurultai, agents::NewAgent, ids, tasks::Claim};
    use serde_json::json;
    use std::sync::Arc;
    use tokio::{
        io::copy_bidirectional,
        net::{TcpListener, TcpStream},
    };
    use tokio_rustls::{
        TlsAcceptor,
        rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
    };

    /// The server's URL, but by another scheme, port and password.
    fn url(scheme: &str, door: &TcpListener, password: &str) -> String {
        let port = door.local_addr().unwrap().port();
        format!("{scheme}://neo4j:{password}@127.0.0.1:{port}/neo4j")
    }

    fn password() -> String {
        url::Url::parse(&neo4j_url()).unwrap().password().unwrap().to_owned()
    }

    fn acceptor() -> TlsAcceptor {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    async fn door(scheme: &str, password: &str) -> String {
        let server = url::Url::parse(&neo4j_url()).unwrap();
        let server = format!("{}:{}", server.host_str().unwrap(), server.port().unwrap());
        let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = url(scheme, &door, password);
        let acceptor = acceptor();
        tokio::spawn(async move {
            while let Ok((guest, _)) = door.accept().await {
                let (server, acceptor) = (server.clone(), acceptor.clone());
                tokio::spawn(async move {
                    let Ok(mut guest) = acceptor.accept(guest).await else { return };
                    let mut server = TcpStream::connect(server).await.unwrap();
                    copy_bidirectional(&mut guest, &mut server).await.ok();
                });
            }
        });
        url
    }

    #[tokio::test]
    async fn a_self_signed_certificate_is_enough_where_the_url_says_so() {
        for scheme in ["neo4j+ssc", "bolt+ssc"] {
            let config = Config::new(&door(scheme, &password()).await).unwrap();
            let config = config.namespace(&format!("t-{}", ids::new_id())).unwrap().background(false);
            let k = Kurultai::open_with(config).await.unwrap();
            k.agents().register(NewAgent::new("temujin")).await.unwrap();
            // Longer than one TLS record.
            let long = "x".repeat(100_000);
            k.tasks().enqueue(task("one").payload(json!(long))).await.unwrap();
            let claimed = k.tasks().claim(Claim::new("temujin")).await.unwrap().remove(0);
            assert_eq!(claimed.payload.value(), json!(long));
            k.tasks().complete(&claimed.lease, json!(1)).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_certificate_that_nobody_vouches_for_is_refused() {
        for scheme in ["neo4j+s", "bolt+s"] {
            let error = Kurultai::open(&door(scheme, "s3cret").await).await.unwrap_err();
            assert_eq!((error.code(), error.kind()), ("store.tls", Kind::Config), "{error:?}");
            assert!(error.message().contains("is not trusted") && error.message().contains("ssc"), "{error}");
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_server_that_wants_tls_is_told_from_one_that_is_away() {
        for scheme in ["neo4j", "bolt"] {
            let error = Kurultai::open(&door(scheme, "s3cret").await).await.unwrap_err();
            assert_eq!((error.code(), error.kind()), ("store.tls", Kind::Config), "{error:?}");
            assert!(error.message().contains("speaks TLS"), "{error}");
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
    }

    /// As Neo4j does where only one of both wants TLS.
    #[tokio::test]
    async fn a_server_that_hangs_up_may_want_tls_or_none() {
        let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let urls = ["neo4j", "neo4j+s"].map(|scheme| url(scheme, &door, "s3cret"));
        tokio::spawn(async move {
            while let Ok((mut guest, _)) = door.accept().await {
                // Read first: a socket that is closed over unread bytes resets the connection.
                tokio::io::AsyncReadExt::read(&mut guest, &mut [0; 4096]).await.ok();
            }
        });
        for url in urls {
            let error = Kurultai::open(&url).await.unwrap_err();
            assert_eq!((error.code(), error.retryable()), ("store.unavailable", true), "{error:?}");
            assert!(error.message().contains("TLS"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_port_that_speaks_something_else_is_named() {
        let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = url("neo4j", &door, "s3cret");
        tokio::spawn(async move {
            while let Ok((mut guest, _)) = door.accept().await {
                tokio::io::AsyncWriteExt::write_all(&mut guest, b"HTTP/1.1 400").await.unwrap();
            }
        });
        let error = Kurultai::open(&url).await.unwrap_err();
        assert_eq!(error.code(), "config.url", "{error:?}");
        assert!(error.message().contains("does not speak Bolt"), "{error}");
    }
}

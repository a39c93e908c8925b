//! As much of a browser as it takes to log in: redirects, cookies, forms.

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Method};
use url::Url;

struct Cookie {
    name: String,
    value: String,
    path: String,
}

pub(crate) struct Browser {
    http: Client,
    cookies: Vec<Cookie>,
}

struct Page {
    url: Url,
    body: String,
}

impl Browser {
    pub(crate) fn new() -> Self {
        let http = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .tls_certs_only([])
            .build()
            .unwrap();
        Self {
            http,
            cookies: Vec::new(),
        }
    }

    /// Goes to `address`, fills in and sends every form on the way, and returns the page where there is none.
    pub(crate) async fn log_in(&mut self, address: &Url, user: &str) -> String {
        let mut page = self.open(Method::GET, address.clone(), &[]).await;
        for _ in 0..10 {
            let Some((action, fields)) = form(&page, user) else {
                return page.body;
            };
            page = self.open(Method::POST, action, &fields).await;
        }
        panic!("there is always one more form: {}", page.body);
    }

    /// Goes to `address` and leaves by the link to abort.
    pub(crate) async fn abort(&mut self, address: &Url) {
        let page = self.open(Method::GET, address.clone(), &[]).await;
        let link = page
            .body
            .split("href=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap());
        let link = link
            .into_iter()
            .find(|link| link.ends_with("/abort"))
            .expect("no link to abort");
        self.open(Method::GET, page.url.join(link).unwrap(), &[]).await;
    }

    async fn open(&mut self, method: Method, url: Url, fields: &[(String, String)]) -> Page {
        let (mut method, mut url, mut fields) = (method, url, fields);
        for _ in 0..20 {
            let mut request = self
                .http
                .request(method, url.clone())
                .header(COOKIE, self.cookies_for(&url));
            if !fields.is_empty() {
                request = request.form(fields);
            }
            let response = request.send().await.unwrap();
            for set in response.headers().get_all(SET_COOKIE) {
                self.keep(set.to_str().unwrap());
            }
            let Some(next) = response.headers().get(LOCATION) else {
                let status = response.status();
                let body = response.text().await.unwrap();
                assert!(status.is_success(), "{url}: {status}: {body}");
                return Page { url, body };
            };
            url = url.join(next.to_str().unwrap()).unwrap();
            (method, fields) = (Method::GET, &[]);
        }
        panic!("too many redirects, the last to {url}");
    }

    fn cookies_for(&self, url: &Url) -> String {
        let fits = self.cookies.iter().filter(|c| url.path().starts_with(&c.path));
        fits.map(|c| format!("{}={}", c.name, c.value))
            .collect::<Vec<_>>()
            .join("; ")
    }

    fn keep(&mut self, set: &str) {
        let mut parts = set.split(';').map(str::trim);
        let (name, value) = parts.next().unwrap().split_once('=').unwrap();
        let path = parts.find_map(|p| p.strip_prefix("path=")).unwrap_or("/").to_owned();
        self.cookies.retain(|c| c.name != name || c.path != path);
        if !value.is_empty() {
            self.cookies.push(Cookie {
                name: name.to_owned(),
                value: value.to_owned(),
                path,
            });
        }
    }
}

/// The first form of a page, with its hidden fields, and name and password if it asks for them.
fn form(page: &Page, user: &str) -> Option<(Url, Vec<(String, String)>)> {
    let (_, form) = page.body.split_once("<form")?;
    let form = form.split("</form>").next()?;
    let action = attribute(form.split('>').next()?, "action")?;
    let mut fields = Vec::new();
    for input in form.split("<input").skip(1) {
        let input = input.split('>').next()?;
        let Some(name) = attribute(input, "name") else {
            continue;
        };
        let value = match name.as_str() {
            "login" => user.to_owned(),
            "password" => "any".to_owned(),
            _ => attribute(input, "value").unwrap_or_default(),
        };
        fields.push((name, value));
    }
    Some((page.url.join(&action).ok()?, fields))
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!("{name}=\""))?;
    Some(rest.split('"').next()?.replace("&amp;", "&"))
}

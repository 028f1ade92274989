# SPDX-License-Identifier: Apache-2.0
"""A real OAuth2 client library (Authlib) gets a token, calls with it, and refreshes it."""
import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.jose import JsonWebKey, jwt

from conftest import REALM_PATH, contract


def token_url(demo):
    return demo.env["TOPUP_SERVER"] + REALM_PATH + "/protocol/openid-connect/token"


def client(demo, method):
    return OAuth2Session(demo.env["CLIENT_ID"], demo.env["CLIENT_SECRET"], token_endpoint=token_url(demo), token_endpoint_auth_method=method)


def test_both_ways_of_sending_credentials(demo):
    for method in ("client_secret_basic", "client_secret_post"):
        session = client(demo, method)
        token = session.fetch_token(grant_type="client_credentials")
        assert token["token_type"] == "Bearer" and token["expires_in"] == 300 and token["refresh_expires_in"] == 1800
        assert session.get(demo.url + "/v2/products").status_code == 200
        fresh = session.refresh_token(token_url(demo), refresh_token=token["refresh_token"])
        assert fresh["access_token"] != token["access_token"] and fresh["refresh_token"] != token["refresh_token"]
        assert session.get(demo.url + "/v2/products").status_code == 200
        # earlier tokens stay valid until they expire
        again = requests.get(demo.url + "/v2/products", headers={"Authorization": "Bearer " + token["access_token"]}, timeout=30)
        assert again.status_code == 200


def test_tokens_verify_against_the_key_set(demo):
    discovery = requests.get(demo.env["TOPUP_SERVER"] + REALM_PATH + "/.well-known/openid-configuration", timeout=30)
    contract.check(discovery)
    keys = requests.get(discovery.json()["jwks_uri"], timeout=30)
    contract.check(keys)
    claims = jwt.decode(demo.token(), JsonWebKey.import_key_set(keys.json()))
    claims.validate()
    assert claims["iss"] == discovery.json()["issuer"] and claims["client_id"] == demo.env["CLIENT_ID"]
    assert discovery.json()["token_endpoint"] == token_url(demo)


def test_the_answer_is_compact(demo):
    answer = requests.post(token_url(demo), auth=(demo.env["CLIENT_ID"], demo.env["CLIENT_SECRET"]), data={"grant_type": "client_credentials"},
                           timeout=30)
    contract.check(answer)
    assert answer.text.startswith('{"access_token":"'), "clients cut the token out with sed"
    assert ": " not in answer.text and "\n" not in answer.text
    assert answer.headers["Cache-Control"] == "no-store"

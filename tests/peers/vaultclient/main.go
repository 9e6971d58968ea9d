// vaultclient does by Vault's own Go client what the other clients of this directory do by theirs, and prints what came of
// each step as JSON (../README.md).
//
//	vaultclient      environment: VAULT_ADDR (also unix:///path), VAULT_TOKEN, VAULT_NAMESPACE, ROLE_ID, SECRET_ID
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/hashicorp/vault/api"
)

type object = map[string]any

var steps = object{}

// step keeps what a function gives, or the error as the client shows it.
func step(name string, do func() (any, error)) {
	result, err := do()
	var answered *api.ResponseError
	switch {
	case errors.As(err, &answered):
		steps[name] = object{"status": answered.StatusCode, "errors": answered.Errors}
	case errors.Is(err, api.ErrSecretNotFound):
		steps[name] = object{"status": 404, "errors": []string{}}
	case err != nil:
		steps[name] = object{"error": err.Error()}
	default:
		steps[name] = result
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// found turns this client's nil into the 404 that it stands for.
func found(secret *api.Secret, err error) (*api.Secret, error) {
	if err == nil && secret == nil {
		return nil, api.ErrSecretNotFound
	}
	return secret, err
}

func newClient(token string) *api.Client {
	config := api.DefaultConfig()
	config.MaxRetries = 0
	client, err := api.NewClient(config)
	if err != nil {
		fail(err)
	}
	if token != "" {
		client.SetToken(token)
	}
	return client
}

func self(client *api.Client) object {
	secret, err := found(client.Auth().Token().LookupSelf())
	if err != nil {
		return object{"error": err.Error()}
	}
	_, hasAccessor := secret.Data["accessor"]
	id, _ := secret.Data["id"].(string)
	return object{"id": id, "accessor": hasAccessor, "path": secret.Data["path"]}
}

func main() {
	ctx := context.Background()
	client := newClient("")
	kv2, kv1, logical := client.KVv2("kv"), client.KVv1("kv1"), client.Logical()

	step("kv2_write", func() (any, error) {
		written, err := kv2.Put(ctx, "client/a", object{"value": "first"})
		if err != nil {
			return nil, err
		}
		return written.VersionMetadata.Version > 0, nil
	})
	step("kv2_read", func() (any, error) {
		secret, err := kv2.Get(ctx, "client/a")
		if err != nil {
			return nil, err
		}
		return secret.Data, nil
	})
	step("kv2_patch", func() (any, error) {
		if _, err := kv2.Patch(ctx, "client/a", object{"more": "second"}); err != nil {
			return nil, err
		}
		secret, err := kv2.Get(ctx, "client/a")
		if err != nil {
			return nil, err
		}
		return secret.Data, nil
	})
	step("kv2_list", func() (any, error) {
		secret, err := found(logical.List("kv/metadata/client"))
		if err != nil {
			return nil, err
		}
		return secret.Data["keys"], nil
	})
	step("kv2_missing", func() (any, error) { return kv2.Get(ctx, "client/none") })
	step("kv2_delete", func() (any, error) { return true, kv2.DeleteMetadata(ctx, "client/a") })
	step("kv1_write", func() (any, error) { return true, kv1.Put(ctx, "client/b", object{"value": "one"}) })
	step("kv1_read", func() (any, error) {
		secret, err := kv1.Get(ctx, "client/b")
		if err != nil {
			return nil, err
		}
		return secret.Data, nil
	})
	step("kv1_list", func() (any, error) {
		secret, err := found(logical.List("kv1/client"))
		if err != nil {
			return nil, err
		}
		return secret.Data["keys"], nil
	})
	step("kv1_delete", func() (any, error) { return true, kv1.Delete(ctx, "client/b") })
	step("denied", func() (any, error) { return logical.Read("sys/auth") })
	step("no_mount", func() (any, error) { return logical.Read("nothing/here") })
	step("wrong_token", func() (any, error) { return newClient("wrong").Logical().Read("kv/data/app") })
	step("transit", func() (any, error) {
		plain := base64.StdEncoding.EncodeToString([]byte("text"))
		sealed, err := logical.Write("transit/encrypt/k", object{"plaintext": plain})
		if err != nil {
			return nil, err
		}
		opened, err := logical.Write("transit/decrypt/k", object{"ciphertext": sealed.Data["ciphertext"]})
		if err != nil {
			return nil, err
		}
		return opened.Data["plaintext"] == plain, nil
	})
	var lease string
	step("dynamic", func() (any, error) {
		secret, err := found(logical.Read("database/creds/readonly"))
		if err != nil {
			return nil, err
		}
		lease = secret.LeaseID
		return object{"username": secret.Data["username"], "password": secret.Data["password"], "renewable": secret.Renewable}, nil
	})
	step("lease_renew", func() (any, error) {
		secret, err := client.Sys().Renew(lease, 60)
		if err != nil {
			return nil, err
		}
		return secret.LeaseID == lease && secret.LeaseDuration > 0, nil
	})
	step("lease_revoke", func() (any, error) { return true, client.Sys().Revoke(lease) })
	step("self", func() (any, error) { return self(client), nil })
	step("renew_self", func() (any, error) {
		secret, err := client.Auth().Token().RenewSelf(0)
		if err != nil {
			return nil, err
		}
		return object{"id": secret.Auth.ClientToken, "lasts": secret.Auth.LeaseDuration > 0}, nil
	})
	step("wrap", func() (any, error) {
		wrapping := newClient(os.Getenv("VAULT_TOKEN"))
		wrapping.SetWrappingLookupFunc(func(string, string) string { return "60s" })
		wrapped, err := wrapping.Logical().Read("kv/data/app")
		if err != nil {
			return nil, err
		}
		secret, err := client.Logical().Unwrap(wrapped.WrapInfo.Token)
		if err != nil {
			return nil, err
		}
		return secret.Data["data"], nil
	})
	step("login", func() (any, error) {
		secret, err := logical.Write("auth/approle/login", object{"role_id": os.Getenv("ROLE_ID"), "secret_id": os.Getenv("SECRET_ID")})
		if err != nil {
			return nil, err
		}
		own := newClient(secret.Auth.ClientToken)
		seen := self(own)
		same := seen["id"] == secret.Auth.ClientToken && seen["accessor"] == true
		if err := own.Auth().Token().RevokeSelf(""); err != nil {
			return nil, err
		}
		_, err = own.Logical().Read("kv/data/app")
		return object{"own_id": same, "gone": err != nil}, nil
	})
	if err := json.NewEncoder(os.Stdout).Encode(steps); err != nil {
		fail(err)
	}
}

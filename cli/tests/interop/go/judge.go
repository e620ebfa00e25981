package main

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"time"
)

// A Question is one line of standard input: would a node with this CA let this certificate in?
type Question struct {
	Name string `json:"name"`
	CA   string `json:"ca"`
	// Leaf is DER in hexadecimal. Without one, Key signs one here, whatever CA it is.
	Leaf string `json:"leaf"`
	Key  string `json:"key"`
	Now  int64  `json:"now"`
}

// An Answer is one line of standard output.
type Answer struct {
	Name string `json:"name"`
	Leaf string `json:"leaf"`
	// Refused is empty for a certificate that is good for clients, now, and for nothing else.
	Refused   string   `json:"refused"`
	Roles     []string `json:"roles"`
	Name64    string   `json:"common_name"`
	Serial    string   `json:"serial"`
	NotBefore int64    `json:"not_before"`
	NotAfter  int64    `json:"not_after"`
}

func judge() error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var question Question
		decoder := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&question); err != nil {
			return err
		}
		answer := Answer{Name: question.Name}
		if err := answer.fill(question); err != nil {
			answer.Refused = err.Error()
		}
		say(answer)
	}
	return lines.Err()
}

func (a *Answer) fill(q Question) error {
	var authorities []*x509.Certificate
	for rest := []byte(q.CA); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if ca, err := x509.ParseCertificate(block.Bytes); err == nil {
			authorities = append(authorities, ca)
		}
	}
	der, err := hex.DecodeString(q.Leaf)
	if err == nil && len(der) == 0 {
		der, err = sign(authorities, q)
	}
	if err != nil {
		return err
	}
	a.Leaf = hex.EncodeToString(der)
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	a.Roles, a.Name64 = leaf.Subject.Organization, leaf.Subject.CommonName
	a.Serial = hex.EncodeToString(leaf.SerialNumber.Bytes())
	a.NotBefore, a.NotAfter = leaf.NotBefore.Unix(), leaf.NotAfter.Unix()
	roots := x509.NewCertPool()
	for _, ca := range authorities {
		roots.AddCert(ca)
	}
	verify := func(at int64, usage x509.ExtKeyUsage) error {
		_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: time.Unix(at, 0), KeyUsages: []x509.ExtKeyUsage{usage}})
		return err
	}
	if err := verify(q.Now, x509.ExtKeyUsageClientAuth); err != nil {
		return err
	}
	if verify(q.Now, x509.ExtKeyUsageServerAuth) == nil {
		return errors.New("good for servers as well")
	}
	if verify(a.NotBefore-1, x509.ExtKeyUsageClientAuth) == nil || verify(a.NotAfter+1, x509.ExtKeyUsageClientAuth) == nil {
		return errors.New("good at any time")
	}
	return nil
}

// sign makes a client certificate that is as ours, below the first CA that the key belongs to.
func sign(authorities []*x509.Certificate, q Question) ([]byte, error) {
	block, _ := pem.Decode([]byte(q.Key))
	if block == nil {
		return nil, errors.New("no key")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	serial := new(big.Int).Lsh(big.NewInt(1), 126)
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{Organization: []string{"os:admin"}},
		NotBefore:    time.Unix(q.Now-60, 0),
		NotAfter:     time.Unix(q.Now+300, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	public := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)).Public()
	err = errors.New("no CA")
	for _, ca := range authorities {
		var der []byte
		if der, err = x509.CreateCertificate(rand.Reader, template, ca, public, key); err == nil {
			return der, nil
		}
	}
	return nil, err
}

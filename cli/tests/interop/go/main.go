// Checks certificates and TLS the way Talos does: Talos is written in Go, so what Go's crypto/x509
// and crypto/tls say of our certificates is what a node will say. Standard library only.
//
//	interop verify -ca ca.pem -cert cert.pem [-at 2027-01-15T08:00:00Z]
//	interop serve  -ca ca.pem -cert server.pem -key server.key [-addr 127.0.0.1:0] [-once]
//	interop judge  < questions.jsonl
//	interop dial   -ca ca.pem -cert cert.pem -key key.pem -addr 127.0.0.1:50000 [-name localhost]
//
// Every subcommand writes JSON lines to standard output. Exit code 1 means refused, 2 misuse.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"time"
)

// Identity is what a client certificate says. apid reads the roles alone (Organization); the rest
// lets a test compare the whole profile.
type Identity struct {
	CommonName       string   `json:"common_name"`
	Roles            []string `json:"roles"`
	NotBefore        string   `json:"not_before"`
	NotAfter         string   `json:"not_after"`
	Serial           string   `json:"serial"`
	KeyAlg           string   `json:"key_alg"`
	SigAlg           string   `json:"sig_alg"`
	Issuer           string   `json:"issuer"`
	IsCA             bool     `json:"is_ca"`
	DigitalSignature bool     `json:"digital_signature"`
	OtherUsages      []string `json:"other_usages"`
	Critical         []string `json:"unhandled_critical"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		var misuse usage
		if errors.As(err, &misuse) {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		say(map[string]string{"error": err.Error()})
		os.Exit(1)
	}
}

type usage string

func (u usage) Error() string { return string(u) }

func run(args []string) error {
	if len(args) == 0 {
		return usage("usage: interop verify|serve|dial|judge …")
	}
	if args[0] == "judge" {
		return judge()
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	caPath := flags.String("ca", "", "PEM file with the CA certificate(s)")
	certPath := flags.String("cert", "", "PEM file with the certificate")
	keyPath := flags.String("key", "", "PEM file with the private key")
	at := flags.String("at", "", "verify as of this RFC 3339 time")
	addr := flags.String("addr", "127.0.0.1:0", "address to listen on or to dial")
	name := flags.String("name", "localhost", "server name to expect")
	once := flags.Bool("once", false, "end after one connection")
	if err := flags.Parse(args[1:]); err != nil {
		return usage(err.Error())
	}
	roots, err := pool(*caPath)
	if err != nil {
		return err
	}
	switch args[0] {
	case "verify":
		return verify(roots, *certPath, *at)
	case "serve":
		return serve(roots, *certPath, *keyPath, *addr, *once)
	case "dial":
		return dial(roots, *certPath, *keyPath, *addr, *name)
	default:
		return usage("no such subcommand: " + args[0])
	}
}

func say(value any) {
	line, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

func pool(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, usage(err.Error())
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("no certificate in %s", path)
	}
	return roots, nil
}

// verify builds a chain for client authentication and applies Talos's own rule on top.
func verify(roots *x509.CertPool, path, at string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return usage(err.Error())
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return errors.New("the file does not start with a CERTIFICATE block")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	options := x509.VerifyOptions{
		Roots:         roots,
		Intermediates: x509.NewCertPool(),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	options.Intermediates.AppendCertsFromPEM(rest)
	if at != "" {
		if options.CurrentTime, err = time.Parse(time.RFC3339, at); err != nil {
			return usage(err.Error())
		}
	}
	chains, err := leaf.Verify(options)
	if err != nil {
		return err
	}
	if err := exactUsage(chains[0]); err != nil {
		return err
	}
	say(identity(leaf))
	return nil
}

// exactUsage is apid's rule: each certificate of the first chain that is no CA has client
// authentication as its one recognised extended key usage.
func exactUsage(chain []*x509.Certificate) error {
	for _, certificate := range chain {
		if certificate.IsCA {
			continue
		}
		usages := certificate.ExtKeyUsage
		if len(usages) != 1 || usages[0] != x509.ExtKeyUsageClientAuth {
			return fmt.Errorf("extended key usage is %v, want client authentication alone", usages)
		}
	}
	return nil
}

func identity(leaf *x509.Certificate) Identity {
	return Identity{
		CommonName:       leaf.Subject.CommonName,
		Roles:            append([]string{}, leaf.Subject.Organization...),
		NotBefore:        leaf.NotBefore.UTC().Format(time.RFC3339),
		NotAfter:         leaf.NotAfter.UTC().Format(time.RFC3339),
		Serial:           leaf.SerialNumber.Text(16),
		KeyAlg:           leaf.PublicKeyAlgorithm.String(),
		SigAlg:           leaf.SignatureAlgorithm.String(),
		Issuer:           leaf.Issuer.String(),
		IsCA:             leaf.IsCA,
		DigitalSignature: leaf.KeyUsage == x509.KeyUsageDigitalSignature,
		OtherUsages:      names(leaf.UnknownExtKeyUsage),
		Critical:         names(leaf.UnhandledCriticalExtensions),
	}
}

func names(oids []asn1.ObjectIdentifier) []string {
	texts := []string{}
	for _, oid := range oids {
		texts = append(texts, oid.String())
	}
	return texts
}

// serve accepts mutual TLS 1.3 as apid does and answers each client with its own identity.
func serve(roots *x509.CertPool, certPath, keyPath, addr string, once bool) error {
	pair, err := tls.LoadX509KeyPair(certPath, keyPath)
	if err != nil {
		return err
	}
	listener, err := tls.Listen("tcp", addr, &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   tls.VersionTLS13,
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    roots,
		NextProtos:   []string{"h2"},
		// Every connection to apid is a full handshake with a client certificate.
		SessionTicketsDisabled: true,
		VerifyPeerCertificate: func(_ [][]byte, chains [][]*x509.Certificate) error {
			return exactUsage(chains[0])
		},
	})
	if err != nil {
		return err
	}
	say(map[string]any{"listening": listener.Addr().String(), "port": listener.Addr().(*net.TCPAddr).Port})
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		err = answer(connection.(*tls.Conn))
		connection.Close()
		if err != nil {
			say(map[string]string{"refused": err.Error()})
		}
		if once {
			return err
		}
	}
}

func answer(connection *tls.Conn) error {
	if err := connection.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if err := connection.Handshake(); err != nil {
		return err
	}
	who := identity(connection.ConnectionState().PeerCertificates[0])
	say(map[string]any{"accepted": who})
	return json.NewEncoder(connection).Encode(who)
}

// dial connects with a client certificate and prints what the server answers.
func dial(roots *x509.CertPool, certPath, keyPath, addr, name string) error {
	config := &tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS12}
	if certPath != "" {
		pair, err := tls.LoadX509KeyPair(certPath, keyPath)
		if err != nil {
			return err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	connection, err := tls.DialWithDialer(dialer, "tcp", addr, config)
	if err != nil {
		return err
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	// In TLS 1.3 a refused client certificate shows with the first read, not in the handshake.
	line, err := bufio.NewReader(connection).ReadBytes('\n')
	if err != nil {
		return err
	}
	state := connection.ConnectionState()
	say(map[string]any{
		"tls":    state.Version == tls.VersionTLS13,
		"server": state.PeerCertificates[0].Subject.CommonName,
		"answer": json.RawMessage(line),
	})
	return nil
}

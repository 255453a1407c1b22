package main

import (
	"fmt"

	"github.com/klaxonhq/klaxon/ingest/kafka"
	"github.com/klaxonhq/klaxon/internal/certs"
	"github.com/segmentio/kafka-go/sasl"
	saslplain "github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
	"go.uber.org/zap"
)

// kafkaConfig is how to reach the brokers.
func kafkaConfig(c KafkaConfig, log *zap.Logger) (kafka.Config, error) {
	out := kafka.Config{Brokers: c.Brokers, ClientID: "klaxon", Log: log}
	if c.TLS != nil {
		source, err := certificates("kafka", c.TLS, log)
		if err != nil {
			return out, fmt.Errorf("kafka.tls: %w", err)
		}
		out.TLS, out.Principal = source.Config, source.Subject()
	}
	if c.SASL == nil {
		return out, nil
	}
	m, err := mechanism(c.SASL)
	if err != nil {
		return out, fmt.Errorf("kafka.sasl: %w", err)
	}
	out.SASL, out.Principal = m, c.SASL.Username
	return out, nil
}

// certificates is the TLS of one section of the configuration, which follows its files.
func certificates(section string, c *TLSConfig, log *zap.Logger) (*certs.Source, error) {
	return certs.Open(certs.Files{CA: c.CAFile, Cert: c.CertFile, Key: c.KeyFile, ServerName: c.ServerName}, func(err error) {
		log.Error("cannot use certificates as they are now; those from before stay in use", zap.String("for", section), zap.Error(err))
	})
}

func mechanism(c *SASLConfig) (sasl.Mechanism, error) {
	switch c.Mechanism {
	case "SCRAM-SHA-256":
		return scram.Mechanism(scram.SHA256, c.Username, c.Password)
	case "SCRAM-SHA-512":
		return scram.Mechanism(scram.SHA512, c.Username, c.Password)
	}
	return saslplain.Mechanism{Username: c.Username, Password: c.Password}, nil
}

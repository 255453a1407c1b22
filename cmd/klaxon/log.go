package main

import (
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newLogger makes the process's log. Repetitions of one message are thinned out: the first ten a second, then every hundredth.
func newLogger(c LogConfig, w io.Writer) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(c.Level)
	if err != nil {
		return nil, fmt.Errorf("log.level: %w", err)
	}
	ec := zap.NewProductionEncoderConfig()
	ec.TimeKey, ec.EncodeTime = "@timestamp", zapcore.RFC3339NanoTimeEncoder
	ec.LevelKey, ec.MessageKey, ec.EncodeDuration = "log.level", "message", zapcore.StringDurationEncoder
	enc := zapcore.NewJSONEncoder(ec)
	if c.Format == "console" {
		ec.EncodeLevel, ec.EncodeTime = zapcore.CapitalLevelEncoder, zapcore.TimeEncoderOfLayout("15:04:05.000")
		enc = zapcore.NewConsoleEncoder(ec)
	}
	core := zapcore.NewCore(enc, zapcore.Lock(zapcore.AddSync(w)), level)
	return zap.New(zapcore.NewSamplerWithOptions(core, logWindow, logFirst, logThereafter)), nil
}

// How repetitions of a message are thinned out.
const (
	logWindow     = time.Second
	logFirst      = 10
	logThereafter = 100
)

package kafka

import "context"

// Ping asks the cluster for its brokers and says who answers, or an error that names the addresses and what to do.
func (c *Client) Ping(ctx context.Context) error {
	ctx, cancel := call(ctx)
	defer cancel()
	_, err := c.metadata(ctx, []string{})
	if err != nil {
		return c.explained("connect", err)
	}
	return nil
}

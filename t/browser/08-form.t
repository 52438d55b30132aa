# Twenty minutes at a form, a minute of which takes a second here: PHP forgets its sessions after five. Nobody who types
# is logged out; whoever walks away is, on time.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::App;
use Heartbeat::Browser;
use Heartbeat::Test;
use Test::More;

my $redis = redis();
my $php = Heartbeat::App->php(dir => workplace(), redis => $redis, ttl => 5);
my @session = ([ heartbeat_session => 'cookie:PHPSESSID' ], [ heartbeat_touch => 'PHPREDIS_SESSION:{session}', '5s' ], [ heartbeat_idle => '6s' ]);
my $form = '<form><label>Your story <textarea id="story"></textarea></label></form>';
my $server = site(
    main => [ [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '100ms' ] ],
    settings => \@session,
    pages => { '/form.html' => page('', $form), '/alone.html' => "<!doctype html><title>A form without the script</title>$form" },
);

my %session;
in_browser('08-form.mjs', $server, calls => {
    login => sub { ($session{ $_[0] } = $php->login($_[0]))->{cookie} =~ s/^PHPSESSID=//r },
    alive => sub { 0 + $redis->call('EXISTS', $session{ $_[0] }{key}) },    # to ask PHP would itself keep the session
    who => sub { $php->who($session{ $_[0] }) },
});
no_bad_log_lines();
done_testing;

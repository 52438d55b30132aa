# A batch is applied once, and everything that it makes goes away again by itself.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Scripts;
use Heartbeat::Test;
use Test::More;

my $redis = redis();
my $script = Heartbeat::Scripts->new(redis => $redis);
my $now = $script->now;

for my $shards (1, 7) {
    my %site = (site => "once-$shards", shards => $shards);
    my $host = $script->other("once-$shards");

    subtest "exactly once, $shards parts" => sub {
        my @batch = $host->next_batch({ %site, entries => [
            entry('a', $now - 9000, $now - 1000, active_to => $now - 2000, active_from => $now - 5000, beats => 7, user => 'alice', page => '/', source => 'beat'),
            entry('b', $now - 500, $now - 500, beats => 2) ] });
        is_deeply($script->call(@batch), [ 1, '', 0, '' ], 'applied');
        my @once = ($host->session(\%site, 'a'), $host->session(\%site, 'b'), $host->user(\%site, 'alice'), [ $host->events(\%site, $now) ]);
        is_deeply($script->call(@batch), [ 0, '', 0, '' ], 'known the second time') for 1 .. 3;
        is_deeply([ $host->session(\%site, 'a'), $host->session(\%site, 'b'), $host->user(\%site, 'alice'), [ $host->events(\%site, $now) ] ], \@once, 'nothing changed');
        is_deeply($host->session(\%site, 'a'), {
            first => $now - 9000, open_from => $now - 9000, last => $now - 1000, open_ms => 8000, active_from => $now - 5000, last_active => $now - 2000,
            active_ms => 3000, beats => 7, user => 'alice', named => $now - 9000, page => '/', source => 'beat', due => $now + 89_000 }, 'the session');
        is_deeply($host->session(\%site, 'b'), {
            first => $now - 500, open_from => $now - 500, last => $now - 500, open_ms => 0, beats => 2, source => 'ping', due => $now + 89_500 }, 'one of a lone sign');
        is_deeply($host->members(\%site, 'seen'), { a => $now - 1000, b => $now - 500 }, 'seen');
        is_deeply($host->members(\%site, 'online'), { a => $now + 89_000, b => $now + 89_500 }, 'online');
        is($host->sessions_of(\%site, 'alice'), 1, 'one session of alice');
        is($script->call('HGET', 'hb:sites', "$shards once-$shards"), 7 * DAY, 'the site is known');
    };

    subtest "the next one goes on, $shards parts" => sub {
        is_deeply($host->add(\%site, entry('a', $now - 9000, $now, active_to => $now, active_from => $now - 5000, beats => 3, source => 'page', page => '/two')), [ 1, '', 0, '' ], 'applied');
        my $a = $host->session(\%site, 'a');
        is($a->{open_ms}, 9000, 'open');
        is($a->{active_ms}, 5000, 'active');
        is($a->{beats}, 10, 'beats add up');
        is_deeply([ @$a{qw(user page source first)} ], [ 'alice', '/two', 'page', $now - 9000 ], 'who and where');
        is($a->{odd}, undef, 'and all fields say the same');
        is_deeply([ sort $host->events(\%site, $now) ], [ sort 'online a alice -9000', 'user-online alice -9000', 'online b -500' ], 'no more events');
    };
}

subtest 'many groups in one batch' => sub {
    my $host = $script->other('many');
    my @groups = map { my $n = $_; { site => "many-$n", shards => 1 + $n % 3, entries => [ map { entry("s$_", $now - 1000, $now, user => "u$_") } 1 .. 20 ] } } 1 .. 20;
    is_deeply($host->flush(@groups), [ 1, '', 0, '' ], 'applied');
    for my $group (@groups) {
        is(scalar keys %{ $host->members($group, 'seen') }, 20, "$group->{site}: all seen");
        is(scalar(grep { $host->session($group, "s$_")->{open_ms} == 1000 } 1 .. 20), 20, 'all stored');
    }
    is_deeply($host->flush({ site => 'large', entries => [ map { entry("s$_", $now - 1000, $now, user => "u$_", page => "/$_") } 1 .. 512 ] }), [ 1, '', 0, '' ], 'as many as a batch holds');
    is(scalar keys %{ $host->members({ site => 'large' }, 'online') }, 512, 'all online');
};

subtest 'the host and what it lost' => sub {
    my $host = $script->other('lost');
    $host->add({ site => 'lost' }, entry('a', $now, $now)) for 1 .. 3;
    my %node = @{ $script->call('HGETALL', 'hb:node:lost') };
    is_deeply([ @node{qw(batch version failed lost)} ], [ 3, '1.0', '', 0 ], 'the state of a host');
    cmp_ok(abs($node{flush} - $script->now), '<', 2000, 'by the clock of Redis');
    cmp_ok($script->call('PTTL', 'hb:node:lost'), '<=', 600_000, 'it goes away by itself');
    $script->call('DEL', 'hb:node:lost');
    is_deeply($script->call($host->batch_words(4, 3, { site => 'lost', entries => [ entry('a', $now, $now + 1) ] })), [ 1, '', 1, '' ], 'Redis lost batches that it had acknowledged');
    is_deeply($script->call($host->batch_words(4, 3, { site => 'lost', entries => [ entry('a', $now, $now + 1) ] })), [ 0, '', 1, '' ], 'and says so again');
    is_deeply($script->call($host->batch_words(5, 4, { site => 'lost', entries => [] })), [ 1, '', 0, '' ], 'not of the next one');
    is_deeply($script->call($host->batch_words(2, 1, { site => 'lost', entries => [ entry('a', $now, $now + 1) ] })), [ 0, '', 0, '' ], 'an earlier number is known');
};

subtest 'ids and names of any bytes' => sub {
    my $host = $script->other('bytes');
    for my $shards (1, 7) {
        my %site = (site => "bytes-$shards", shards => $shards);
        my @names = (' ', '{x}', "a\r\nb", "\0", "\xff\xfe", '%d', '$1', 'a:b', '-', '0', 'x' x 63);
        is_deeply($host->add(\%site, map { entry("id$_", $now - 10, $now, user => $_, page => $_) } @names), [ 1, '', 0, '' ], 'applied');
        is(scalar(grep { my $s = $host->session(\%site, "id$_"); $s->{user} eq $_ && $s->{page} eq $_ } @names), @names, 'all stored');
        is(scalar(grep { $host->sessions_of(\%site, $_) == 1 && $host->user(\%site, $_)->{open_to} == $now } @names), @names, 'and counted');
    }
};

# --- nothing stays for ever ---

subtest 'everything expires' => sub {
    $script->call('FLUSHDB');
    for my $shards (1, 7) {
        for my $retention (1000, 60_000, 7 * DAY, 3650 * DAY) {
            my %site = (site => "expiry-$shards-$retention", shards => $shards, retention => $retention);
            my $host = $script->other("expiry-$shards-$retention");
            $host->add(\%site, map { entry("s$_", $now - 5000, $now, active_to => $now - 1000, active_from => $now - 4000, user => "u$_", bits => $_ == 3 ? LEFT : 0) } 1 .. 5);
            $host->add(\%site, map { entry("s$_", $now - 600_000, $now - 500_000) } 1 .. 5);
            $host->add(\%site, map { entry("s$_", $now + 200_000, $now + 200_001, user => 'other') } 1 .. 5);
            $host->add(\%site, entry('old', $now - 1_000_000, $now - 1_000_000, user => 'old'));
        }
    }
    $script->sweep(budget => 1000);
    my (%kind, @forever, @long, @short);
    for my $key (@{ $script->call('KEYS', '*') }) {
        next if $key eq 'hb:sites';
        my $ttl = $script->call('PTTL', $key);
        $kind{ $key =~ s/^hb:(?:node|\{.*\}:([^:]*)).*/$1 \/\/ 'node'/er }++;
        push @forever, $key if $ttl < 0;
        next if $key !~ /expiry-\d-(\d+)/ || $key =~ /:node:/;
        my $most = $1 * 1.125 < 150_000 ? 150_000 : $1 * 1.125;
        $most = 90_000 + 3_660_000 if $key =~ /:user$/;    # so long an outage loses nothing
        push @long, "$key $ttl" if $ttl > $most;
        push @short, "$key $ttl" if $key !~ /:events$/ && $ttl < ($key =~ /:user$/ ? 3_680_000 : $1 < 150_000 ? 140_000 : $1);
    }
    is_deeply(\@forever, [], 'every key has an end');
    is_deeply(\@long, [], 'not after the retention and an eighth, or the timeout and a minute; users an hour after the timeout');
    is_deeply(\@short, [], 'not before');
    is_deeply([ sort keys %kind ], [ sort qw(active events node online open seen session undecided user) ], 'all kinds of keys were there');
};

# A session that beats on is kept on, and so is all that belongs to it.
subtest 'what is in use is kept' => sub {
    my %site = (site => 'kept', retention => 10_000, timeout => 1000, grace => 0);
    my $host = $script->other('kept');
    my $at = $script->now;
    $host->add(\%site, entry('a', $at, $at, user => 'alice', bits => KEEP));
    my @keys = grep { !/hb:sites/ } @{ $script->call('KEYS', 'hb:{kept}*') };
    cmp_ok(scalar @keys, '>=', 6, 'keys');
    $script->call('PEXPIRE', $_, 3000) for @keys;
    $host->add(\%site, entry('a', $at, $at + 500, bits => KEEP));
    is_deeply([ grep { $script->call('PTTL', $_) < 5000 && !/:events$/ } @keys ], [], 'kept for longer');
};

subtest 'what was seen too long ago' => sub {
    my %site = (site => 'old', retention => 60_000);
    my $host = $script->other('old');
    my $at = $script->now;
    $host->add(\%site, map { entry("s$_", $at - 50_000 - $_ * 1000, $at - 50_000 - $_ * 1000) } 1 .. 300);
    is(scalar keys %{ $host->members(\%site, 'seen') }, 9, 'is removed along the way') or diag explain [ sort keys %{ $host->members(\%site, 'seen') } ];
};

done_testing;
